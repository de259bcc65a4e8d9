import type { Protocol } from '../protocol.ts'
import { NO_GOODBYE } from '../unasked-goodbye.ts'
import { announceable, mechanismsIn } from './capability.ts'
import { openDialogue } from './login.ts'
import { askCapabilities, replayLogin } from './replay.ts'
import { goodbyeReply } from './replies.ts'
import { openView } from './shown.ts'

export const pop3: Protocol = {
  name: 'pop3',
  openDialogue,
  replayLogin,
  askCapabilities,
  leave: 'QUIT\r\n',
  openView,
  mechanismsIn,
  announceable,
  turnedAway: (why) => `${goodbyeReply(why)}\r\n`,
  unaskedGoodbye: NO_GOODBYE,
}
