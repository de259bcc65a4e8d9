/** The table of protocols for sessions. A third one is a folder, an entry here, and a name in configuration, admin API and metrics. */
import type { ProtocolName } from '../config/settings.ts'
import { imap } from './imap/imap.ts'
import { pop3 } from './pop3/pop3.ts'
import type { Protocol } from './protocol.ts'

export const protocols: Readonly<Record<ProtocolName, Protocol>> = { imap, pop3 }
