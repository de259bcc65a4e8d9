/** The dialogues of each protocol of the registry. */
import { imap } from './imap/imap.ts'
import { managesieve } from './managesieve/managesieve.ts'
import { pop3 } from './pop3/pop3.ts'
import type { Protocol } from './protocol.ts'
import type { ProtocolName } from './registry.ts'

export const protocols: Readonly<Record<ProtocolName, Protocol>> = { imap, pop3, managesieve }
