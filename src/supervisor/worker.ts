/**
 * The supervisor's side of one worker: starts its process, asks it, stops it, and starts it again after an unexpected end.
 * Every question to it ends within its deadline, with an answer or an error.
 * Over 250 lines: start, pings, questions and end of the process change the same private state.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Settings } from '../config/settings.ts'
import { systemCode } from '../errors.ts'
import type { Log } from '../log.ts'
import type { WorkerState } from '../metrics/instance-metrics.ts'
import { createBackOff } from './back-off.ts'
import { createDelivery } from './delivery.ts'
import type { Answer, Ask, ToSupervisor, ToWorker } from './messages.ts'
import type { SharedMemory } from './shared-memory.ts'

/** Interval of the pings to a worker. */
const PING_MS = 1000
/** A worker without an answer for this long counts as not answering: no normal work blocks an event loop for so long. */
const SILENT_MS = 5000

/** The standard output of this process, which receives the log. */
const STDOUT = 1

/** A program, and the arguments that make it a worker. */
export type WorkerProgram = {
  command: string
  args: readonly string[]
  /** receives its standard error, such as the stack of a crash */
  printError: (text: string) => void
}

export type WorkerParts = {
  number: number
  program: WorkerProgram
  /** the descriptors that it inherits after that of the log */
  descriptors: readonly number[]
  /** its current settings; called at each start and at each `configure` */
  settings: () => Settings
  /** the other contents of its start message */
  greeting: () => Omit<ToWorker & { kind: 'start' }, 'kind' | 'settings'>
  /** Called when it has ended unexpectedly and will be started again. */
  onEnded: () => void
  /** It needs leases: it begins to serve, or a login there waits for more of a leased limit. */
  onShort: () => void
  /** shared by all workers */
  memory: Pick<SharedMemory, 'noteMarker' | 'standIns'>
  log: Log
}

export type Worker = {
  number: number
  state(): WorkerState
  /** Starts it for the first time. @throws Error for the operator if it cannot serve, or is stopped before it serves */
  start(): Promise<void>
  /** @throws Error if there is no answer within this time, or no process */
  ask<A extends Ask>(ask: A, withinMs: number): Promise<Answer[A['what']]>
  /** Sends a message if there is a process. */
  tell(message: ToWorker): void
  /**
   * Gives it the current settings. A worker that has ended is started with them.
   * @returns whether they are in effect; false after this time, or if the worker does not answer now
   */
  configure(withinMs: number): Promise<boolean>
  /** Tells it to end and waits. After this time it is killed. It is not started again. */
  stop(withinMs: number): Promise<void>
  /** Ends it at once. */
  kill(): void
}

/** One process of the worker. */
type Life = {
  child: ChildProcess
  startedMs: number
  serves: boolean
  /** time of the ping that has no answer yet */
  askedMs: number | undefined
  saidSilent: boolean
  waiting: Map<number, { resolve: (answer: unknown) => void; reject: (why: Error) => void }>
  ended: PromiseWithResolvers<undefined>
  /** Gives it the current settings. */
  configure: () => Promise<void>
}

/** A process that has ended, or that could not be started. */
type Ended = { pid: number | undefined; cause: string; startedMs: number; served: boolean }

export function createWorker(parts: WorkerParts): Worker {
  const { number, program, descriptors, onEnded, memory, log } = parts
  const backOff = createBackOff()
  const first = Promise.withResolvers<undefined>()
  let life: Life | undefined
  let hasServed = false
  let stopping = false
  let again: NodeJS.Timeout | undefined
  let questions = 0

  function run(): void {
    const startedMs = performance.now()
    let child: ChildProcess
    try {
      child = spawn(program.command, program.args, {
        stdio: ['ignore', 'ignore', 'pipe', 'ipc', STDOUT, ...descriptors], // as LOG_DESCRIPTOR and FIRST_INHERITED say
        serialization: 'advanced', // preserves Maps and undefined
      })
    } catch (error) {
      // Node reports some system errors by an event and throws the others (ENOMEM, EIO, ETXTBSY).
      return recover({ pid: undefined, cause: systemCode(error), startedMs, served: false })
    }
    const born: Life = {
      child,
      startedMs,
      serves: false,
      askedMs: undefined,
      saidSilent: false,
      waiting: new Map(),
      ended: Promise.withResolvers(),
      configure: createDelivery({
        settings: parts.settings,
        sendUsers: (piece) => put(born, { what: 'users', piece }),
        start: (settings) => send(born, { kind: 'start', ...parts.greeting(), settings }),
        configure: (settings) => put(born, { what: 'configure', settings }),
        hasEnded: () => born !== life,
        noteFailure: (error) => noteUntaken(born, error),
      }),
    }
    life = born
    child.stderr?.setEncoding('utf8').on('data', program.printError)
    child.on('message', (message) => hear(born, message as ToSupervisor))
    child.on('exit', (code, signal) => end(born, signal ?? `exit code ${code ?? 'unknown'}`))
    child.on('error', (error) => {
      if (child.pid === undefined) end(born, systemCode(error))
    })
    born.configure().catch(() => undefined) // fails if it has ended, which `end` reports
  }

  /** A process that serves goes on with its old settings. One that has none yet is ended: a new process is given them. */
  function noteUntaken({ child, serves }: Life, error: unknown): void {
    const cause = systemCode(error)
    if (!hasServed) return first.reject(new Error(`worker ${number} cannot take the configuration: ${cause}`))
    log.error({ worker: number, pid: child.pid, cause }, 'worker cannot take the configuration')
    if (!serves) child.kill('SIGKILL')
  }

  /** Settles when the message is sent, or if the process has ended, which `end` reports. */
  function send({ child }: Life, message: ToWorker): Promise<void> {
    return new Promise((resolve) => {
      if (child.connected) child.send(message, () => resolve())
      else resolve()
    })
  }

  function hear(born: Life, message: ToSupervisor): void {
    switch (message.kind) {
      case 'ready': {
        born.serves = hasServed = true
        const ms = Math.round(performance.now() - born.startedMs)
        log.info({ worker: number, pid: born.child.pid, ms }, 'worker serves')
        parts.onShort()
        return first.resolve(undefined)
      }
      case 'failed':
        if (!hasServed) return first.reject(new Error(message.why))
        return log.error({ worker: number, detail: message.why }, 'worker cannot serve')
      case 'answer':
        born.waiting.get(message.id)?.resolve(message.answer)
        return
      case 'no-answer':
        born.waiting.get(message.id)?.reject(new Error(message.why))
        return
      case 'short':
        return parts.onShort()
      case 'marker':
        return memory.noteMarker(self, message.id)
      case 'standIns':
        void memory.standIns(self, message.user).then((told) => send(born, { kind: 'standIns', id: message.id, told }))
    }
  }

  function end(born: Life, cause: string): void {
    life = undefined
    for (const { reject } of born.waiting.values()) reject(new Error(`worker ${number} has ended`))
    born.ended.resolve(undefined)
    recover({ pid: born.child.pid, cause, startedMs: born.startedMs, served: born.serves })
  }

  /** Before the worker has served, the start fails. Later, the next process is started. */
  function recover({ pid, cause, startedMs, served }: Ended): void {
    if (stopping) return first.reject(new Error(`worker ${number} is stopped`)) // has no effect after it has served
    if (!hasServed) return first.reject(new Error(`worker ${number} has ended before it served: ${cause}`))
    const uptimeMs = Math.round(performance.now() - startedMs)
    const againMs = backOff({ livedMs: uptimeMs, served })
    log.error({ worker: number, pid, cause, uptimeMs, againMs }, 'worker ended')
    onEnded()
    again = setTimeout(run, againMs)
  }

  function isSilent({ askedMs }: Life): boolean {
    return askedMs !== undefined && performance.now() - askedMs > SILENT_MS
  }

  /** @param withinMs undefined: without a deadline */
  function put<A extends Ask>(born: Life, question: A, withinMs?: number): Promise<Answer[A['what']]> {
    const id = questions++
    const asked = Promise.withResolvers<unknown>()
    const late = (): void => asked.reject(new Error(`worker ${number} does not answer within ${withinMs ?? 0} ms`))
    const timer = withinMs === undefined ? undefined : setTimeout(late, withinMs)
    born.waiting.set(id, asked)
    void send(born, { kind: 'ask', id, ask: question })
    return asked.promise.finally(() => {
      clearTimeout(timer)
      born.waiting.delete(id)
    }) as Promise<Answer[A['what']]>
  }

  /** Refuses questions to a worker that does not answer, so that they do not accumulate. */
  function ask<A extends Ask>(question: A, withinMs: number): Promise<Answer[A['what']]> {
    if (life?.serves === true && !isSilent(life)) return put(life, question, withinMs)
    return Promise.reject(new Error(`worker ${number} does not answer`))
  }

  function ping(): void {
    const born = life
    if (!born?.serves) return
    if (born.askedMs === undefined) {
      born.askedMs = performance.now()
      put(born, { what: 'ping' }).then(
        () => noteAnswer(born),
        () => undefined, // it has ended
      )
    } else if (isSilent(born) && !born.saidSilent) {
      born.saidSilent = true
      const ms = Math.round(performance.now() - born.askedMs)
      log.error({ worker: number, pid: born.child.pid, ms }, 'worker does not answer')
    }
  }

  function noteAnswer(born: Life): void {
    const ms = Math.round(performance.now() - (born.askedMs ?? 0))
    if (born.saidSilent) log.warn({ worker: number, pid: born.child.pid, ms }, 'worker answers again')
    born.askedMs = undefined
    born.saidSilent = false
  }

  const pinging = setInterval(ping, PING_MS)

  function kill(): void {
    stopping = true
    clearTimeout(again)
    clearInterval(pinging)
    life?.child.kill('SIGKILL')
  }

  const self: Worker = {
    number,
    state() {
      if (!life) return 'ended'
      if (!life.serves) return 'starting'
      return isSilent(life) ? 'not-answering' : 'up'
    },
    start() {
      run()
      return first.promise
    },
    ask,
    tell(message) {
      if (life) void send(life, message)
    },
    async configure(withinMs) {
      const born = life
      if (!born) return true
      const delivered = born.configure().then(
        () => true,
        () => life !== born, // the next process is started with them
      )
      if (isSilent(born)) return false
      const giveUp = new AbortController()
      const late = sleep(withinMs, false, { signal: giveUp.signal }).catch(() => false)
      const isTaken = await Promise.race([delivered, late])
      giveUp.abort()
      return isTaken
    },
    async stop(withinMs) {
      stopping = true
      clearTimeout(again)
      clearInterval(pinging)
      if (!life) return
      const { child, ended } = life
      void send(life, { kind: 'stop' })
      const late = setTimeout(() => {
        log.error({ worker: number, pid: child.pid }, 'worker does not end and is killed')
        child.kill('SIGKILL')
      }, withinMs)
      await ended.promise
      clearTimeout(late)
    },
    kill,
  }
  return self
}
