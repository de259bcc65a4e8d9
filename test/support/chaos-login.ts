/** One login during a run: accepted, or refused as something that passes. Anything else is a fault. */
import { within } from './deadline.ts'
import { type MailClient, openMailClient } from './mail-client.ts'
import type { Mailmux } from './mailmux.ts'
import { pick } from './random.ts'
import type { Scene } from './scene.ts'
import { PASSWORD } from './site.ts'

/** A login waits for the end of a hold, a pause or a drain for 45 s at most, and then for a store and Redis in trouble. */
const ANSWER_MS = 45_000 + 10_000

export type LoginTally = {
  /** how often each user was told OK */
  accepted: Map<string, number>
  count: { logins: number; accepted: number; unavailable: number; slowestAnswerMs: number }
  /** of each answer: when the login was sent, and whose it was */
  answered: (user: string, sentMs: number) => void
}

/** @returns undefined if the user was told to come back. @throws Error for any other answer, and for none */
export async function logInOnce(
  scene: Scene,
  user: string,
  mailmux: Mailmux,
  random: () => number,
  { accepted, count, answered }: LoginTally,
): Promise<MailClient | undefined> {
  const protocol = pick(random, ['imap', 'pop3'] as const)
  const port = protocol === 'imap' ? mailmux.ports.imapClear : mailmux.ports.pop3Clear
  const client = await openMailClient(scene, protocol, port, 'clear', {})
  const sentMs = performance.now()
  const login = client.login(user, PASSWORD).catch((error: unknown) => {
    // Without a tagged NO: clients that get one stop their attempts for a long time.
    if (client.peer.transcript.some((line) => /^< \* BYE \[UNAVAILABLE\]/.test(line)))
      return { accepted: false, answer: 'NO [UNAVAILABLE]' }
    throw error
  })
  const outcome = await within(ANSWER_MS, login, () => 'no answer to a login')
  count.logins++
  count.slowestAnswerMs = Math.max(count.slowestAnswerMs, Math.round(performance.now() - sentMs))
  answered(user, sentMs)
  if (outcome.accepted) {
    count.accepted++
    accepted.set(user, (accepted.get(user) ?? 0) + 1)
    return client
  }
  if (!/^(NO \[UNAVAILABLE\]|-ERR \[SYS\/TEMP\])/.test(outcome.answer)) throw new Error(`was told ${outcome.answer}`)
  count.unavailable++
  return undefined
}
