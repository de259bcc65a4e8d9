/** The instances of the site, asked by a process that serves no one: it has no heartbeat, and the instances do not know it. */
import { createAsking } from '../instances/asking.ts'
import { HEARTBEAT_SECONDS, instanceName, type Exchange, type OpenExchange } from '../instances/exchange.ts'
import { quiesceKind, type QuiesceAnswer } from '../instances/quiesce-question.ts'
import { MuxError } from '../errors.ts'
import type { Fleet, Members, Told } from './instances.ts'

export type OpenFleet = Fleet & {
  /** Resolves when answers can arrive. */
  listening: Promise<undefined>
  close: () => void
}

/** @param host as the system names it. @param id 12 hex digits, random */
export function openFleet(host: string, id: string, openExchange: OpenExchange): OpenFleet {
  const self = instanceName(host, id)
  const listening = Promise.withResolvers<undefined>()
  const exchange: Exchange = openExchange(self, {
    onQuestion: () => undefined,
    onAnswer: (text) => asking.onAnswer(text),
    onListening: () => listening.resolve(undefined),
    onConnected: () => undefined,
    onResult: () => undefined,
  })
  const asking = createAsking(self, exchange, '', () => undefined)
  // This process has no session, and its own answer is left out below.
  const kind = quiesceKind(() => Promise.resolve({ isHeld: true, left: 0 }))

  async function members(): Promise<Members> {
    try {
      const all = await exchange.members()
      const named = (isLive: boolean): string[] =>
        all.filter(({ ageSeconds }) => ageSeconds < HEARTBEAT_SECONDS === isLive).map(({ name }) => name)
      return { live: named(true), lost: named(false) }
    } catch (error) {
      throw new MuxError('directory-unavailable', error instanceof Error ? error.message : String(error), error)
    }
  }

  return {
    listening: listening.promise,
    list: members,
    async quiesce(user, backend, token) {
      const { answers, silent, lost, incomplete } = await asking.ask(kind, { kind: 'quiesce', user, backend, token })
      if (incomplete !== undefined) throw new MuxError('directory-unavailable', incomplete)
      const others = answers.filter(({ instance }) => instance !== self)
      return {
        live: [...others.map(({ instance }) => instance), ...silent],
        lost,
        told: new Map(others.map(({ instance, answer }) => [instance, toTold(answer)])),
      }
    },
    close: () => exchange.close(),
  }
}

function toTold(answer: QuiesceAnswer): Told {
  if (!answer.isHeld) return { unsure: answer.why }
  return answer.left === 0 ? 'clear' : { left: answer.left }
}
