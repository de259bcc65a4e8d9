import type { Protocol } from '../protocol.ts'
import { openDialogue } from './login.ts'
import { replayLogin } from './replay.ts'
import { goodbyeReply } from './replies.ts'

export const imap: Protocol = {
  name: 'imap',
  bannerName: 'IMAP4',
  openDialogue,
  replayLogin,
  unaskedGoodbye: `${goodbyeReply('shutting-down')}\r\n`,
}
