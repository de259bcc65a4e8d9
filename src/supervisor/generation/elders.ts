/**
 * The answers of older generations beside those of the instances of the site. With Redis an older generation is an instance of the site
 * until it ends, and answers for itself. Without Redis, or if its answer is late, it answers over the channel. Pure.
 */
import type { Told } from '../../instances/asking.ts'
import { splitName } from '../../instances/exchange.ts'
import type { InstanceReport } from '../../instances/instances.ts'
import type { Facts } from '../../instances/messages.ts'
import type { Of } from './messages.ts'

export function withElders<A>(told: Told<A>, elders: readonly Of<A>[]): Told<A> {
  const known = new Set(told.answers.map(({ instance }) => instance))
  const missing = elders.filter(({ instance }) => !known.has(instance))
  if (missing.length === 0) return told
  const isAnswered = new Set(missing.map(({ instance }) => instance))
  return {
    ...told,
    answers: [...told.answers, ...missing.map(({ instance, answer }) => ({ instance, answer }))],
    silent: told.silent.filter((instance) => !isAnswered.has(instance)),
    lost: told.lost.filter((instance) => !isAnswered.has(instance)),
  }
}

/** @param listed the instances of the site, which are replaced by an answer over the channel if they did not answer themselves */
export function withElderFacts(listed: readonly InstanceReport[], elders: readonly Of<Facts>[]): InstanceReport[] {
  const reports = new Map(listed.map((one) => [`${one.host}/${one.id}`, one]))
  for (const { instance, answer } of elders) {
    if (reports.get(instance)?.state === 'up') continue
    reports.set(instance, { ...splitName(instance), state: 'up', isSelf: false, ...answer })
  }
  return [...reports.values()]
}
