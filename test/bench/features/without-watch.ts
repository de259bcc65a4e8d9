/** Loaded before mailmux: no IMAP session is followed after its login, as if it were compressed from the first octet on. */
import { ImapWatch } from '../../../src/protocol/imap/watch.ts'

ImapWatch.prototype.fromClient = () => false
ImapWatch.prototype.fromBackend = () => false
