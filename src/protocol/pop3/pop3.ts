import type { Protocol } from '../protocol.ts'
import { announceable, mechanismsIn } from './capability.ts'
import { openDialogue } from './login.ts'
import { askCapabilities, replayLogin } from './replay.ts'
import { goodbyeReply } from './replies.ts'

export const pop3: Protocol = {
  name: 'pop3',
  openDialogue,
  replayLogin,
  askCapabilities,
  leave: 'QUIT\r\n',
  mechanismsIn,
  announceable,
  turnedAway: `${goodbyeReply('too-many-connections')}\r\n`,
  // RFC 1939 has no line that a server may send unasked.
  unaskedGoodbye: { shutdown: '', idle: '' },
}
