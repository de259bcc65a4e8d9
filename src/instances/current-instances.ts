/** The instances of the site over the exchange in force, which a reload may replace. This instance leaves the old one in order. */
import type { OpenExchange } from './exchange.ts'
import { openInstances, type Instances, type InstancesParts } from './instances.ts'

export type CurrentInstances = Instances & {
  /** Questions that begin from now on go to the instances of this exchange. */
  moveTo: (openExchange: OpenExchange | undefined) => void
}

/** Connects in the background. */
export function openCurrentInstances(parts: InstancesParts): CurrentInstances {
  let current = openInstances(parts)
  const registrations: ((instances: Instances) => void)[] = []
  let left = Promise.resolve()

  return {
    name: current.name,
    register(kind) {
      let ask = current.register(kind)
      registrations.push((instances) => (ask = instances.register(kind)))
      return (question) => ask(question)
    },
    moveTo(openExchange) {
      const before = current
      current = openInstances({ ...parts, openExchange })
      for (const register of registrations) register(current)
      left = Promise.all([left, before.close()]).then(() => undefined)
    },
    list: () => current.list(),
    count: () => current.count(),
    async close() {
      await Promise.all([left, current.close()])
    },
  }
}
