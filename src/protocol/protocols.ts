/** The one table of protocols: a third one is a third folder and a line here. */
import type { ProtocolName } from '../config/settings.ts'
import { imap } from './imap/imap.ts'
import { pop3 } from './pop3/pop3.ts'
import type { Protocol } from './protocol.ts'

export const protocols: Readonly<Record<ProtocolName, Protocol>> = { imap, pop3 }
