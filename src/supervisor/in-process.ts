/** The pool for `workers: 1`: the app runs in this process, without a channel. */
import type { App, AppDeps } from '../app.ts'
import type { Settings } from '../config/settings.ts'
import type { AskHolder } from '../leases/lessor.ts'
import { passOn, type InheritedSockets } from '../listener/inherited.ts'
import { openListeners, type Listeners } from '../listener/listener.ts'
import { portsOf } from '../listener/ports.ts'
import type { WorkerState } from '../metrics/instance-metrics.ts'
import type { LeaseKeeper } from './leases.ts'
import { mergeRefusals } from './merge-refusals.ts'
import { oncePerTurn } from './once-per-turn.ts'
import type { WorkerPool } from './worker-pool.ts'

export type CreateApp = (settings: Settings, deps: AppDeps) => App

export function createInProcessPool(
  createApp: CreateApp,
  settings: Settings,
  deps: Omit<AppDeps, 'listen' | 'onShort'>,
  inherited: InheritedSockets,
  leases: Pick<LeaseKeeper, 'join' | 'renew'>,
): WorkerPool {
  const lease: AskHolder = (caps) => Promise.resolve(app.answers.lease(caps))
  let listeners: Listeners | undefined
  let mayAccept: () => Promise<void> = () => Promise.resolve()
  const app = createApp(settings, {
    ...deps,
    onShort: oncePerTurn(() => leases.renew(lease)),
    async listen(own, accept) {
      await mayAccept()
      listeners = await openListeners(portsOf(own), accept, inherited)
      return listeners
    },
  })
  leases.join(lease)
  let state: WorkerState = 'starting'
  const started = Promise.withResolvers<undefined>()
  return {
    async start(permit = mayAccept) {
      mayAccept = permit
      try {
        leases.renew(lease)
        const addresses = await app.start()
        state = 'up'
        return addresses
      } catch (error) {
        await app.close()
        throw error
      } finally {
        started.resolve(undefined)
      }
    },
    async prepare(changed) {
      await started.promise
      await app.prepare(changed.directory)
      let ports: Awaited<ReturnType<Listeners['prepare']>> | undefined
      try {
        ports = await listeners?.prepare(portsOf(changed))
        if (!ports) throw new Error('mailmux is being stopped')
      } catch (error) {
        app.discard()
        throw error
      }
      const prepared = ports
      return {
        commit() {
          // In one step: a connection that comes in between would find a listener that its world does not have.
          app.takeOver(changed)
          prepared.commit()
          return Promise.resolve([])
        },
        discard() {
          app.discard()
          prepared.discard()
        },
      }
    },
    async closePorts() {
      const none = await listeners?.prepare([])
      none?.commit()
      return []
    },
    states: () => [state],
    readings: () => Promise.resolve([]),
    reopenLog: () => Promise.resolve(), // this process has no worker beside it
    setLogLevel: () => Promise.resolve(),
    ...app.answers,
    backends: () => Promise.resolve(app.answers.backends()),
    sessions: (filter) => Promise.resolve(app.answers.sessions(filter)),
    refusals: (question) =>
      Promise.resolve(mergeRefusals([{ worker: 1, told: app.answers.refusals(question) }], question.limit)),
    setBlocks: (blocks) => Promise.resolve({ ended: app.answers.setBlocks(blocks) }),
    endSessions: (order) => Promise.resolve({ ended: app.answers.endSessions(order) }),
    trace: (order) => Promise.resolve(app.answers.trace(order)),
    sockets: () => (listeners ? passOn(listeners.addresses, listeners.descriptors()) : []),
    stop: (how) => app.stop(how),
    abandon: () => undefined,
  }
}
