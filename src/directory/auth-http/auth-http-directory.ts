/**
 * A directory behind HTTP that speaks the contract of nginx's mail proxy (auth_http): one question for each login, and no memory.
 * Its answer may depend on the password, the address and the count of attempts, so that nothing of it holds for the next login;
 * and it may be the one that checks passwords, so that no known route stands in while it is away: that would be an open door.
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

/** A server that says WAIT without a time is not asked in a circle. */
const LEAST_WAIT_MS = 500

const ANSWERS = 'answers'

/** @param onUp called when a question has been answered, or has not been @param sender owned from now on */
export function openAuthHttpDirectory(
  first: AuthHttpSettings,
  log: Log,
  onUp: (up: boolean) => void,
  sender: AuthHttpSender = createAuthHttpSender(first),
): Directory {
  let settings = first
  let state = 'not asked yet'
  onUp(true) // there is no connection to lose: it counts as there until a question fails

  /** One line for each change, and for each new cause: an outage of an hour is one event. */
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
    close() {
      sender.close()
      return Promise.resolve()
    },
    async lookup(user, trace, question) {
      // It judges a login by all that it is told of it, and counts its attempts: without one there is nothing to ask.
      if (!question || trace) {
        const detail = 'an auth server is asked when somebody logs in, and never else'
        trace?.({ asked: 'directory', key: user, outcome: 'unavailable', detail })
        throw new MuxError('directory-unavailable', detail)
      }
      const { backends } = question
      const facts = question.facts()
      const { proof } = facts
      // nginx forgets whom such a login is for, and opens the mailbox of the one whose password it is. The contract has no word for it.
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
  // In place of a proof that nobody has checked it would let everybody in.
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

/** Characters by which a password is found in a text that was cut. */
const RECOGNISED = 16

function refuse(
  { text, waitMs }: Extract<Answer, { kind: 'refused' }>,
  { proof }: Pick<LoginFacts, 'proof'>,
): DirectoryAnswer {
  const password = proof.kind === 'password' ? proof.password?.reveal() : undefined
  // Such words go into the log. They are cut, so that the beginning of the password has to do.
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

/** No store has such a password. The client gets the answer to a wrong one, and the server no question that it would reject. */
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
