import type { Protocol } from '../protocol.ts'
import { buildUnaskedGoodbye } from '../unasked-goodbye.ts'
import { announceable, mechanismsIn } from './capability.ts'
import { openDialogue } from './login.ts'
import { askCapabilities, replayLogin } from './replay.ts'
import { goodbyeReply } from './replies.ts'
import { openView } from './shown.ts'

export const imap: Protocol = {
  name: 'imap',
  openDialogue,
  replayLogin,
  askCapabilities,
  leave: 'L LOGOUT\r\n',
  openView,
  mechanismsIn,
  announceable,
  turnedAway: (why) => `${goodbyeReply(why)}\r\n`,
  unaskedGoodbye: buildUnaskedGoodbye((why) => `${goodbyeReply(why)}\r\n`),
}
