/**
 * The pool with several workers, each in a process of its own. All of them accept from the ports that this process has bound. The pool
 * restarts ended workers, gives them each new configuration, and merges their answers into one.
 * Over 250 lines: every answer of the pool is put together from the same private list of workers.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Unavailable } from '../admin/api.ts'
import type { BlockTarget } from '../blocks/block.ts'
import type { Settings } from '../config/settings.ts'
import { addressesOf, bindPorts, type BoundPorts } from '../listener/bound-ports.ts'
import { createLedgerHost } from '../limits/ledger-host.ts'
import { createLocalLedger } from '../limits/local-ledger.ts'
import type { InheritedSockets } from '../listener/inherited.ts'
import { portsOf } from '../listener/ports.ts'
import type { Log } from '../log.ts'
import type { InstanceMetrics } from '../metrics/instance-metrics.ts'
import { addToPast, type Reading } from '../metrics/readings.ts'
import type { Secret } from '../secret.ts'
import type { WorkerPool } from './worker-pool.ts'
import { mergeBackends, mergeEnded, mergeExplanations, mergeQuiescence, mergeSessions } from './merge.ts'
import type { Answer, Ask } from './messages.ts'
import { pack } from './packed.ts'
import type { LeaseKeeper } from './leases.ts'
import { settingsOf } from './share.ts'
import { createGate } from './gate.ts'
import { createSharedMemory } from './shared-memory.ts'
import type { AskHolder } from '../leases/lessor.ts'
import { createWorker } from './worker.ts'
import type { Worker, WorkerProgram } from './worker-interface.ts'

/** Deadline of a question to all workers: a scrape must not hang because one worker hangs. */
const ALL_MS = 1000
/** A million users take a second for each worker. A worker that hangs delays the end of a reload by this time, until it counts as silent. */
const TAKE_OVER_MS = 10_000
/** Longer than any lookup: `directory.redis.timeout` is seconds at most. */
const LOOKUP_MS = 15_000
/** Longer than any login test; the client of the admin API waits no longer either. */
const LOGIN_MS = 300_000
/** Interval of readings if no scrape causes them. Counts since the last reading are lost when a worker ends. */
const READ_EVERY_MS = 10_000
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
}

export function createWorkers(parts: WorkersParts): WorkerPool {
  const { settings: first, program, ticketSecret, log, metrics, inherited, leases } = parts
  let current = first
  let blocks: readonly BlockTarget[] = []
  let ports: BoundPorts | undefined
  let workers: Worker[] = []
  let reading: NodeJS.Timeout | undefined
  let readMs = -Infinity
  const last = new Map<Worker, Reading>()
  const asking = new Map<Worker, Promise<void>>()
  let past: Promise<Reading> = Promise.resolve([])
  const stopping = new AbortController()
  const started = Promise.withResolvers<undefined>()
  let gate: (() => Promise<void>) | undefined

  const memory = createSharedMemory(() => workers)
  const ledger = createLedgerHost(createLocalLedger())

  function build(bound: BoundPorts, number: number): Worker {
    const lease: AskHolder = (caps) => worker.ask({ what: 'lease', caps }, ALL_MS)
    const worker: Worker = createWorker({
      number,
      program,
      ports: bound.list,
      settings: () => settingsOf({ worker: number, workers: first.workers }, current),
      greeting: () => ({
        worker: number,
        ticketSecret: pack(ticketSecret),
        marker: memory.marker(),
        blocks,
      }),
      onEnded() {
        metrics.workerRestarted()
        bury(worker)
        leases.leave(lease)
        leases.join(lease)
      },
      onShort: () => leases.renew(lease),
      mayAccept: () => gate?.() ?? Promise.resolve(),
      ledger,
      memory,
      log,
    })
    leases.join(lease)
    return worker
  }

  /** Keeps the counts of an ended worker in the sums: a falling counter would look like a restart of mailmux. */
  function bury(worker: Worker): void {
    const ended = last.get(worker)
    last.delete(worker)
    if (ended) past = past.then((before) => addToPast(before, ended))
  }

  /** At most one question to a worker at a time. All scrapes share its answer. */
  function read(worker: Worker): Promise<void> {
    const underWay = asking.get(worker)
    if (underWay) return underWay
    const asked = worker
      .ask({ what: 'reading' }, LOOKUP_MS)
      .then((told) => void last.set(worker, told))
      .catch(() => undefined) // its last known reading is used
      .finally(() => asking.delete(worker))
    asking.set(worker, asked)
    return asked
  }

  async function readAll(): Promise<void> {
    readMs = performance.now()
    const giveUp = new AbortController()
    const enough = sleep(ALL_MS, undefined, { signal: giveUp.signal }).catch(() => undefined)
    await Promise.race([Promise.all(workers.map(read)), enough])
    giveUp.abort()
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

  /** @throws Unavailable if no worker answers */
  async function askAll<A extends Ask>(ask: A): ReturnType<typeof askEach<A>> {
    const answers = await askEach(ask)
    if (answers.every(({ told }) => told === undefined)) throw new Unavailable('no worker answers')
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
    clearInterval(reading)
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
      reading = setInterval(() => {
        if (performance.now() - readMs > READ_EVERY_MS / 2) void readAll() // else a scrape has read them
      }, READ_EVERY_MS)
      return addressesOf(bound.list())
    },
    async prepare(settings) {
      await started.promise
      const binding = await ports?.prepare(portsOf(settings))
      if (!binding) throw new Error('mailmux is being stopped')
      const { added } = binding
      const discard = (): void => {
        for (const worker of workers) worker.shut(added)
        binding.discard()
      }
      const wrong = await Promise.all(workers.map((worker) => worker.open(added, TAKE_OVER_MS)))
      const error = wrong.find((one) => one !== undefined)
      if (error !== undefined) {
        discard()
        throw new Error(error)
      }
      return {
        async commit() {
          binding.commit()
          current = settings
          const late = workers.map(async (worker) => ((await worker.configure(TAKE_OVER_MS)) ? [] : [worker.number]))
          return (await Promise.all(late)).flat()
        },
        discard,
      }
    },
    states: () => workers.map((worker) => worker.state()),
    async readings() {
      await readAll()
      const known = [...last.values()] // in the same step as `past`: a worker that ends in between would be in neither
      return [await past, ...known]
    },
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
    async setBlocks(targets) {
      blocks = targets
      return mergeEnded(await askEach({ what: 'blocks', blocks }))
    },
    endSessions: async (order) => mergeEnded(await askAll({ what: 'endSessions', order })),
    // A worker that does not answer in time opens it later, and one that is started later opens the new file.
    async reopenLog() {
      await Promise.all(workers.map((worker) => worker.ask({ what: 'reopenLog' }, ALL_MS).catch(() => undefined)))
    },
    sockets: () => (ports?.list() ?? []).map(({ host, port, descriptor }) => ({ host, port, descriptor })),
    async stop(how) {
      stopping.abort()
      clearInterval(reading)
      ports?.close()
      await Promise.all(workers.map((worker) => worker.stop(current.limits.shutdownGraceMs + STOP_SLACK_MS, how)))
    },
    abandon,
  }
}
