/**
 * A directory behind HTTP with the protocol of nginx's mail proxy (auth_http): one question for each login, without a cache.
 * The answer may depend on the password, the address and the number of attempts, so that it does not hold for the next login. The
 * server may check the password, so that no earlier route stands in during an outage: a login without a check would be possible.
 */
import { setTimeout as wait } from 'node:timers/promises'
import type { AuthHttpSettings } from '../../config/settings.ts'
import { isShortage, MuxError, systemCode } from '../../errors.ts'
import type { Log } from '../../log.ts'
import { findBackendAt, QuestionFailed, readAnswer, type Answer } from './answer.ts'
import { buildQuestion, escapeOctets, findOversize } from './question.ts'
import { createAuthHttpSender, type AuthHttpSender } from './sender.ts'
import type { Directory, DirectoryAnswer, LoginFacts, Question } from '../directory.ts'
import { RouteInvalid } from '../errors.ts'

/** Least pause after WAIT, against a busy loop if the server names no time. */
const LEAST_WAIT_MS = 500

const ANSWERS = 'answers'

/** @param onUp called with the result of each question @param sender owned from now on: `close` closes it */
export function openAuthHttpDirectory(
  first: AuthHttpSettings,
  log: Log,
  onUp: (up: boolean) => void,
  sender: AuthHttpSender = createAuthHttpSender(first),
): Directory {
  let settings = first
  let state = 'not asked yet'
  onUp(true) // without a permanent connection it counts as available until a question fails

  /** Logs each change and each new cause once: an outage of an hour is one event. */
  function note(now: string): void {
    onUp(now === ANSWERS)
    if (now === state) return
    state = now
    if (now === ANSWERS) log.info('directory connected')
    else log.error({ cause: now }, 'directory unavailable')
  }

  async function ask(headers: Record<string, string>, signal: AbortSignal): Promise<Answer> {
    try {
      const { status, rawHeaders } = await sender.ask(headers, signal)
      const answer = readAnswer(status, rawHeaders)
      note(ANSWERS)
      return answer
    } catch (thrown) {
      if (thrown instanceof QuestionFailed) throw thrown
      if (isShortage(thrown))
        throw new MuxError('local-shortage', `the auth server cannot be asked: ${systemCode(thrown)}`, thrown)
      const late = `no answer of the auth server within ${settings.timeoutMs} ms`
      const error = signal.aborted ? new MuxError('directory-unavailable', late, thrown) : asUnavailable(thrown)
      note(error.code === 'directory-unavailable' ? error.message : ANSWERS)
      throw error
    }
  }

  return {
    connected: Promise.resolve(),
    invalidate: () => undefined,
    renew(next) {
      if (next.kind === 'auth_http') settings = next
    },
    async check() {
      const signal = AbortSignal.timeout(settings.timeoutMs)
      try {
        await sender.connect(signal)
      } catch (thrown) {
        const cause = signal.aborted ? `no connection within ${settings.timeoutMs} ms` : systemCode(thrown)
        throw new MuxError('directory-unavailable', `the auth server cannot be connected to: ${cause}`, thrown)
      }
    },
    close() {
      sender.close()
      return Promise.resolve()
    },
    async lookup(user, trace, question) {
      // The server evaluates the facts of a login and counts attempts: without a login there is no question.
      if (!question || trace) {
        const detail = 'an auth server is asked at a login only'
        trace?.({ asked: 'directory', key: user, outcome: 'unavailable', detail })
        throw new MuxError('directory-unavailable', detail)
      }
      const { backends } = question
      const facts = question.facts()
      const { proof } = facts
      // The protocol has no header for a master user: nginx would open the mailbox of the user whose password it is.
      if (settings.sendPassword && proof.kind === 'password' && !proof.password) return refuseActing()
      const headers = buildQuestion(user, facts, settings)
      const oversize = findOversize(headers, settings)
      if (oversize !== undefined) return refuseOversize(oversize)
      const deadline = performance.now() + settings.timeoutMs
      const signal = AbortSignal.timeout(settings.timeoutMs)
      for (;;) {
        const answer = await ask(headers, signal)
        if (answer.kind === 'ok') return toRoute(answer, facts, backends, settings)
        if (answer.kind === 'refused') return refuse(answer, facts)
        const waitMs = Math.max(answer.waitMs, LEAST_WAIT_MS)
        if (performance.now() + waitMs >= deadline)
          throw new MuxError('directory-unavailable', 'the auth server says WAIT for longer than its time')
        await wait(waitMs)
      }
    },
  }
}

function toRoute(
  { server, port, user, password }: Extract<Answer, { kind: 'ok' }>,
  { protocol, proof }: LoginFacts,
  backends: Question['backends'],
  { sendPassword }: AuthHttpSettings,
): DirectoryAnswer {
  const backend = findBackendAt(backends, protocol, { server, port })
  // Without a checked proof this password would let every client in.
  const isChecked = proof.kind === 'certificate' || (proof.kind === 'password' && sendPassword)
  if (password && !isChecked) {
    throw new RouteInvalid(
      'bad-password',
      'the auth server gives a password to a login whose own it was not sent (send_password)',
    )
  }
  return { entry: { backend, login: user, status: 'active', ...(password && { password }) }, source: 'directory' }
}

/** Without the escapes of a quoted text. */
const plain = (text: string): string => text.replaceAll('\\', '')

/** Leading characters by which a password is found in a truncated text. */
const RECOGNISED = 16

function refuse(
  { text, waitMs }: Extract<Answer, { kind: 'refused' }>,
  { proof }: Pick<LoginFacts, 'proof'>,
): DirectoryAnswer {
  const password = proof.kind === 'password' ? proof.password?.reveal() : undefined
  // The text is logged. It is truncated, so that the beginning of the password must suffice.
  const repeats =
    password !== undefined &&
    [password, escapeOctets(password)].some((form) => plain(text).includes(plain(form).slice(0, RECOGNISED)))
  const refusal = {
    reason: 'authentication-failed',
    detail: repeats
      ? 'the auth server repeats the password, so that its words are not shown'
      : `the auth server says ${text}`,
    waitMs: waitMs ?? 0,
    last: waitMs === undefined,
  } as const
  return { entry: undefined, source: 'directory', refusal }
}

/** No store has such a password. The client gets the reply to a wrong password; the server is not asked, because it would reject the question. */
function refuseOversize(what: string): DirectoryAnswer {
  const detail = `the question for the auth server would have ${what}`
  const refusal = { reason: 'authentication-failed', detail, waitMs: 0, last: false } as const
  return { entry: undefined, source: 'directory', refusal }
}

function refuseActing(): DirectoryAnswer {
  const refusal = {
    reason: 'authorization-failed',
    detail: 'the auth server checks passwords, and knows none by which one user acts for another',
    waitMs: 0,
    last: false,
  } as const
  return { entry: undefined, source: 'directory', refusal }
}

function asUnavailable(thrown: unknown): MuxError {
  if (thrown instanceof MuxError) return thrown
  return new MuxError('directory-unavailable', `the auth server cannot be asked: ${systemCode(thrown)}`, thrown)
}
