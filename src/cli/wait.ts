/** `mailmux wait BACKEND --empty`: until no instance has a session on a back end. */
import type { SessionsAnswer } from '../admin/answers.ts'
import { readDuration } from '../duration.ts'
import type { MoveClock } from '../move/step.ts'
import { systemClock } from '../move/system-clock.ts'
import { askRunning, formatJson, type Terminal } from './ask-running.ts'
import { reportMissing } from './coverage.ts'

export type WaitOptions = { config: string; timeout?: string; json?: true }

const NAME = 'mailmux wait'
const POLL_MS = 1000

/** @returns the exit code: 0 no session is left, 1 not within the timeout, 2 wrong usage or no answer */
export async function waitForEmpty(backend: string, options: WaitOptions, terminal: Terminal): Promise<number> {
  const timeoutMs = options.timeout === undefined ? Infinity : readDuration(options.timeout)
  if (timeoutMs === undefined) {
    terminal.printError(`${NAME}: --timeout ${options.timeout} is no duration such as 30s or 10m`)
    return 2
  }
  return askRunning(NAME, options.config, terminal, async (client) => {
    const { backends } = await client.backends()
    if (!backends.some(({ name }) => name === backend)) {
      terminal.printError(`${NAME}: ${backend} is no back end of the running mailmux`)
      return 2
    }
    return waitUntilEmpty(backend, () => client.countSessions({ backend }), timeoutMs, systemClock, terminal, options)
  })
}

/**
 * Exported for its test.
 * A login that waits for the store has no connection to it, and goes on only when its state is `up` again.
 * @param ask counts the sessions of all instances
 * @returns the exit code
 */
export async function waitUntilEmpty(
  backend: string,
  ask: () => Promise<SessionsAnswer>,
  timeoutMs: number,
  clock: MoveClock,
  terminal: Terminal,
  { json }: Pick<WaitOptions, 'json'> = {},
): Promise<number> {
  const endMs = clock.nowMs() + timeoutMs
  let said: number | undefined
  for (;;) {
    const answer = await ask()
    // An instance that gives no answer may have sessions.
    const isWhole =
      reportMissing(answer, NAME, 'it may have sessions', { ...terminal, printError: () => undefined }) === 0
    const { total, unconnected = 0 } = answer
    const left = total - unconnected
    const isOver = (left === 0 && isWhole) || clock.nowMs() >= endMs
    if (json && isOver) for (const line of formatJson({ left, waiting: unconnected, isWhole })) terminal.out(line)
    if (left === 0 && isWhole) {
      const logins = unconnected === 1 ? '1 login waits' : `${unconnected} logins wait`
      if (!json)
        terminal.out(`no session is left${unconnected > 0 ? `; ${logins}, without a connection to ${backend}` : ''}`)
      return 0
    }
    if (isOver) {
      reportMissing(answer, NAME, 'it may have sessions', terminal)
      terminal.printError(`${NAME}: left: ${count(left)}`)
      return 1
    }
    if (left !== said && !json) terminal.out(count(left))
    said = left
    await clock.sleep(Math.min(POLL_MS, Math.max(0, endMs - clock.nowMs())))
  }
}

const count = (left: number): string => (left === 1 ? '1 session' : `${left} sessions`)
