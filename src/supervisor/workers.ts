/**
 * The pool with several workers, each in a process of its own. All of them accept from the ports that this process has bound. The pool
 * restarts ended workers, gives them each new configuration, and merges their answers into one.
 * Over 250 lines: every answer of the pool is put together from the same private list of workers.
 */
import { Unavailable } from '../admin/api.ts'
import type { BlockTarget } from '../blocks/block.ts'
import type { Settings } from '../config/settings.ts'
import { storeOf } from '../directory/replaceable.ts'
import { addressesOf, bindPorts, inheritable, type BoundPorts } from '../listener/bound-ports.ts'
import { createLedgerHost } from '../limits/ledger-host.ts'
import type { Ledger } from '../limits/ledger.ts'
import type { InheritedSockets } from '../listener/inherited.ts'
import { portsOf } from '../listener/ports.ts'
import type { Log } from '../log.ts'
import type { InstanceMetrics } from '../metrics/instance-metrics.ts'
import type { Secret } from '../secret.ts'
import type { WorkerPool } from './worker-pool.ts'
import { mergeBackends, mergeEnded, mergeExplanations, mergeQuiescence, mergeSessions } from './merge.ts'
import { mergeRefusals } from './merge-refusals.ts'
import { mergeTraces } from './merge-traces.ts'
import type { Answer, Ask } from './messages.ts'
import { pack } from './packed.ts'
import type { LeaseKeeper } from './leases.ts'
import { closePorts, findLate } from './late-workers.ts'
import { createLeavingWorkers } from './leaving-workers.ts'
import { settingsOf } from './share.ts'
import { createGate } from './gate.ts'
import { createSharedMemory } from './shared-memory.ts'
import { prepareDirectory } from './prepare-directory.ts'
import type { AskHolder } from '../leases/lessor.ts'
import { createWorker } from './worker.ts'
import { createWorkerReadings } from './worker-readings.ts'
import type { Worker, WorkerProgram } from './worker-interface.ts'

/** Deadline of a question to all workers: a scrape must not hang because one worker hangs. */
const ALL_MS = 1000
/** A million users take a second for each worker. A worker that hangs delays the end of a reload by this time, until it counts as silent. */
const TAKE_OVER_MS = 10_000
/** Longer than any lookup: `directory.redis.timeout` is seconds at most. */
const LOOKUP_MS = 15_000
/** Longer than any login test; the client of the admin API waits no longer either. */
const LOGIN_MS = 300_000
/** Time that a worker has after the grace of its sessions to close everything else. */
const STOP_SLACK_MS = 5000

export type WorkersParts = {
  settings: Settings
  program: WorkerProgram
  ticketSecret: Secret
  log: Log
  metrics: Pick<InstanceMetrics, 'workerRestarted'>
  inherited: InheritedSockets
  /** leases the limits of back ends to the workers */
  leases: Pick<LeaseKeeper, 'join' | 'leave' | 'renew'>
  /** what the limits on clients count, of all workers */
  ledger: Ledger
}

export function createWorkers(parts: WorkersParts): WorkerPool {
  const { settings: first, program, ticketSecret, log, metrics, inherited, leases } = parts
  let current = first
  let blocks: readonly BlockTarget[] = []
  let ports: BoundPorts | undefined
  let workers: Worker[] = []
  let hasEnded = false
  const readings = createWorkerReadings(() => workers)
  const stopping = new AbortController()
  const started = Promise.withResolvers<undefined>()
  let gate: (() => Promise<void>) | undefined

  const holders = new WeakMap<Worker, AskHolder>()
  const memory = createSharedMemory(() => workers)
  const ledger = createLedgerHost(parts.ledger)

  const leaving = createLeavingWorkers<Worker>(
    async (worker) => (await worker.ask({ what: 'sessions', filter: { limit: 0 } }, ALL_MS)).total,
    (worker) => {
      log.info({ worker: worker.number }, 'worker has left')
      void remove(worker)
    },
  )

  /** Ends a worker that serves nothing any more. */
  async function remove(worker: Worker): Promise<void> {
    await readings.read(worker)
    workers = workers.filter((one) => one !== worker)
    const lease = holders.get(worker)
    if (lease) leases.leave(lease)
    await worker.stop(STOP_SLACK_MS)
    readings.bury(worker)
  }

  /** Starts the workers that more of them need. @throws Error with a message for the operator; then none of them is left running */
  async function startMore(bound: BoundPorts, count: number): Promise<Worker[]> {
    const numbers = new Set(workers.map(({ number }) => number))
    const missing = Array.from({ length: count }, (_, index) => index + 1).filter((number) => !numbers.has(number))
    const more = missing.map((number) => build(bound, number))
    try {
      await Promise.all(more.map((worker) => worker.start()))
    } catch (error) {
      discardAll(more)
      throw error
    }
    return more
  }

  function discardAll(more: readonly Worker[]): void {
    for (const worker of more) {
      const lease = holders.get(worker)
      if (lease) leases.leave(lease)
      worker.kill()
    }
  }

  function build(bound: BoundPorts, number: number): Worker {
    const lease: AskHolder = (caps) => worker.ask({ what: 'lease', caps }, ALL_MS)
    const worker: Worker = createWorker({
      number,
      program,
      ports: () => (leaving.has(worker) ? [] : bound.list()),
      settings: () => settingsOf({ worker: number, workers: current.workers }, current),
      greeting: () => ({
        worker: number,
        ticketSecret: pack(ticketSecret),
        markers: memory.markers(),
        blocks,
      }),
      onEnded() {
        metrics.workerRestarted()
        readings.bury(worker)
        leases.leave(lease)
        leases.join(lease)
      },
      onShort: () => leases.renew(lease),
      onLast: (reading) => readings.note(worker, reading),
      mayAccept: () => gate?.() ?? Promise.resolve(),
      ledger,
      memory,
      log,
    })
    holders.set(worker, lease)
    leases.join(lease)
    return worker
  }

  async function askEach<A extends Ask>(ask: A): Promise<{ worker: number; told: Answer[A['what']] | undefined }[]> {
    const answers = await Promise.all(
      workers.map(async (worker) => {
        const told = await worker.ask(ask, ALL_MS).catch(() => undefined)
        return { worker: worker.number, told }
      }),
    )
    return answers
  }

  /** After a stop there is nothing to ask for. @throws Unavailable if no worker answers */
  async function askAll<A extends Ask>(ask: A): ReturnType<typeof askEach<A>> {
    const answers = await askEach(ask)
    if (!hasEnded && answers.every(({ told }) => told === undefined)) throw new Unavailable('no worker answers')
    return answers
  }

  /** The first worker, by number, that answers a ping. Repeated requests thus reach the same worker if possible. */
  async function anyone(): Promise<Worker> {
    for (const worker of workers) {
      const isThere = await worker.ask({ what: 'ping' }, ALL_MS).catch(() => false)
      if (isThere) return worker
    }
    throw new Unavailable('no worker answers')
  }

  async function askOne<A extends Ask>(worker: Worker, ask: A, withinMs: number): Promise<Answer[A['what']]> {
    return worker.ask(ask, withinMs).catch((error: unknown) => {
      throw new Unavailable(error instanceof Error ? error.message : 'no worker answers')
    })
  }

  function abandon(): void {
    readings.stop()
    leaving.close()
    ports?.close()
    for (const worker of workers) worker.kill()
  }

  return {
    async start(mayAccept) {
      if (mayAccept) gate = createGate(first.workers, mayAccept)
      const bound = await bindPorts(portsOf(first), inherited)
      ports = bound
      if (stopping.signal.aborted) bound.close()
      stopping.signal.throwIfAborted()
      workers = Array.from({ length: first.workers }, (_, index) => build(bound, index + 1))
      try {
        await Promise.all(workers.map((worker) => worker.start()))
      } catch (error) {
        if (!stopping.signal.aborted) abandon() // during a stop, workers end their sessions themselves
        throw error
      } finally {
        started.resolve(undefined)
      }
      if (stopping.signal.aborted) return addressesOf(bound.list())
      readings.start()
      return addressesOf(bound.list())
    },
    async prepare(settings) {
      await started.promise
      const bound = ports
      const binding = await bound?.prepare(portsOf(settings))
      if (!bound || !binding) throw new Error('mailmux is being stopped')
      const { added } = binding
      let more: Worker[] = []
      const discard = (): void => {
        for (const worker of workers) {
          worker.shut(added)
          worker.tell({ kind: 'discard' })
        }
        discardAll(more)
        memory.keepOnly(storeOf(current.directory))
        binding.discard()
      }
      try {
        more = await startMore(bound, settings.workers)
        await prepareDirectory([...workers, ...more], current.directory, settings.directory)
        const wrong = await Promise.all(workers.map((worker) => worker.open(added, TAKE_OVER_MS)))
        const error = wrong.find((one) => one !== undefined)
        if (error !== undefined) throw new Error(error)
      } catch (error) {
        discard()
        throw error
      }
      return {
        async commit() {
          binding.commit()
          current = settings
          workers = [...workers, ...more].sort((a, b) => a.number - b.number)
          leaving.set(workers.filter(({ number }) => number > settings.workers))
          const numbers = await findLate(workers, (worker) => worker.configure(TAKE_OVER_MS))
          memory.keepOnly(storeOf(settings.directory))
          return numbers
        },
        discard,
      }
    },
    closePorts: () => closePorts(ports, workers, TAKE_OVER_MS),
    states: () => workers.map((worker) => worker.state()),
    readings: readings.all,
    async explain(question) {
      const ask: Extract<Ask, { what: 'explain' }> = { what: 'explain', question }
      const first = await anyone()
      const others = workers
        .filter((worker) => worker !== first)
        .map(async (worker) => ({
          worker: worker.number,
          told: await worker.ask(ask, ALL_MS).catch(() => undefined),
        }))
      return mergeExplanations(await askOne(first, ask, LOOKUP_MS), await Promise.all(others))
    },
    testLogin: async (question, password) =>
      askOne(await anyone(), { what: 'testLogin', question, password: pack(password) }, LOGIN_MS),
    backends: async () =>
      mergeBackends(
        (await askAll({ what: 'backends' })).flatMap(({ told }) => (told ? [told] : [])),
        current.routing.backends,
      ),
    quiesce: async (question) => mergeQuiescence(await askAll({ what: 'quiesce', question })),
    setBackendState: async (change) => askOne(await anyone(), { what: 'setBackendState', change }, LOOKUP_MS),
    sessions: async (filter) => mergeSessions(await askAll({ what: 'sessions', filter }), filter.limit),
    refusals: async (question) => mergeRefusals(await askAll({ what: 'refusals', question }), question.limit),
    async setBlocks(targets) {
      blocks = targets
      return mergeEnded(await askEach({ what: 'blocks', blocks }))
    },
    trace: async (order) => mergeTraces(await askAll({ what: 'trace', order })),
    endSessions: async (order) => mergeEnded(await askAll({ what: 'endSessions', order })),
    // A worker that does not answer in time opens it later, and one that is started later opens the new file.
    async reopenLog() {
      await Promise.all(workers.map((worker) => worker.ask({ what: 'reopenLog' }, ALL_MS).catch(() => undefined)))
    },
    setLogLevel: (level) => askEach({ what: 'logLevel', level }),
    sockets: () => inheritable(ports?.list() ?? []),
    async stop(how) {
      stopping.abort()
      readings.stop()
      leaving.close()
      ports?.close()
      const end = async (worker: Worker): Promise<void> => {
        await worker.stop(current.limits.shutdownGraceMs + STOP_SLACK_MS, how)
        const lease = holders.get(worker)
        if (lease) leases.leave(lease) // the next generation gets what it had
      }
      await Promise.all(workers.map(end))
      // A drained instance answers operators and other instances: it has no sessions.
      hasEnded = true
      workers = []
    },
    abandon,
  }
}
