/** An exchange in memory: what several instances see of one Redis, which a test can take away, and whose clock a test sets. */
import {
  HEARTBEAT_SECONDS,
  LOST_SECONDS,
  type Exchange,
  type ExchangeListener,
  type OpenExchange,
  type Step,
} from '../../../src/instances/exchange.ts'

export type MemoryHub = {
  open: OpenExchange
  /** Time passes for the store. */
  advance: (seconds: number) => void
  /** Each command fails with this from now on; undefined: the connection for commands is there again. */
  fail: (cause: string | undefined) => void
  /** The process of this instance does not run. Its messages wait. */
  freeze: (name: string) => void
  thaw: (name: string) => void
  /** Sends a text as any client of Redis can. */
  publishQuestion: (text: string) => void
  publishAnswer: (to: string, text: string) => void
  heartbeats: () => { name: string; text: string }[]
  questions: string[]
  answers: string[]
}

export function openMemoryHub(): MemoryHub {
  const listeners = new Map<string, ExchangeListener>()
  const members = new Map<string, { atSeconds: number; text: string }>()
  const frozen = new Map<string, (() => void)[]>()
  const questions: string[] = []
  const answers: string[] = []
  let nowSeconds = 1_000_000
  let cause: string | undefined

  function expire(): void {
    for (const [name, { atSeconds }] of members) if (nowSeconds - atSeconds > LOST_SECONDS) members.delete(name)
  }
  async function command<T>(listener: ExchangeListener, step: Step, run: () => T): Promise<T> {
    await Promise.resolve()
    listener.onResult(step, cause)
    if (cause !== undefined) throw new Error(cause)
    expire()
    return run()
  }
  function deliver(to: string, hear: (listener: ExchangeListener) => void): void {
    const listener = listeners.get(to)
    if (!listener) return
    const waiting = frozen.get(to)
    if (waiting) waiting.push(() => hear(listener))
    else queueMicrotask(() => hear(listener))
  }
  function publishQuestion(text: string): void {
    for (const name of listeners.keys()) deliver(name, ({ onQuestion }) => onQuestion(text))
  }
  function publishAnswer(to: string, text: string): void {
    deliver(to, ({ onAnswer }) => onAnswer(text))
  }

  return {
    open(name, listener): Exchange {
      listeners.set(name, listener)
      queueMicrotask(() => listener.onListening())
      return {
        beat: (text) =>
          command(listener, 'heartbeat', () => {
            members.set(name, { atSeconds: nowSeconds, text })
            return [...members.values()].filter(({ atSeconds }) => nowSeconds - atSeconds < HEARTBEAT_SECONDS).length
          }),
        leave: () => command(listener, 'heartbeat', () => void members.delete(name)),
        members: () =>
          command(listener, 'list', () =>
            [...members].map(([one, { atSeconds }]) => ({ name: one, ageSeconds: nowSeconds - atSeconds })),
          ),
        heartbeatOf: (one) =>
          command(listener, 'read', () => {
            const found = members.get(one)
            return found && nowSeconds - found.atSeconds < HEARTBEAT_SECONDS ? found.text : undefined
          }),
        ask: (text) =>
          command(listener, 'publish', () => {
            questions.push(text)
            publishQuestion(text)
          }),
        answer: (to, text) =>
          command(listener, 'publish', () => {
            answers.push(text)
            publishAnswer(to, text)
          }),
        close: () => void listeners.delete(name),
      }
    },
    advance(seconds) {
      nowSeconds += seconds
    },
    fail(next) {
      cause = next
      if (cause === undefined) for (const { onConnected } of listeners.values()) queueMicrotask(onConnected)
    },
    freeze: (name) => void frozen.set(name, []),
    thaw(name) {
      const waiting = frozen.get(name) ?? []
      frozen.delete(name)
      for (const hear of waiting) queueMicrotask(hear)
    },
    publishQuestion,
    publishAnswer,
    heartbeats: () => [...members].map(([name, { text }]) => ({ name, text })),
    questions,
    answers,
  }
}
