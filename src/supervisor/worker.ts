/**
 * The supervisor's side of one worker: starts its process, asks it, stops it, and starts it again after an unexpected end.
 * Every question to it ends within its deadline, with an answer or an error.
 * Over 250 lines: start, pings, questions and end of the process change the same private state.
 */
import type { ChildProcess, SendHandle } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { systemCode } from '../errors.ts'
import type { LedgerMember } from '../limits/ledger-host.ts'
import { addressesOf, addressOf, type BoundPort } from '../listener/bound-ports.ts'
import type { OpenPort } from '../listener/ports.ts'
import { createAnswering, type Answering } from './answering.ts'
import { createBackOff } from './back-off.ts'
import type { Worker, WorkerParts } from './worker-interface.ts'
import { createDelivery } from './delivery.ts'
import type { Answer, Ask, ToSupervisor, ToWorker } from './messages.ts'
import { startWorkerProcess } from './worker-process.ts'

/** Interval of the pings to a worker. */
const PING_MS = 1000

/** One process of the worker. */
type Life = {
  child: ChildProcess
  startedMs: number
  serves: boolean
  answering: Answering
  /** the ports that it has open, or that are on the way to it */
  ports: Set<BoundPort['id']>
  waiting: Map<number, { resolve: (answer: unknown) => void; reject: (why: Error) => void }>
  ended: PromiseWithResolvers<undefined>
  ledger: LedgerMember
  /** Gives it the current settings. */
  configure: () => Promise<void>
}

/** A process that has ended, or that could not be started. */
type Ended = { pid: number | undefined; cause: string; startedMs: number; served: boolean }

export function createWorker(parts: WorkerParts): Worker {
  const { number, program, onEnded, memory, log } = parts
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
    const inherited = parts.ports()
    try {
      child = startWorkerProcess(program, inherited)
    } catch (error) {
      // Node reports some system errors by an event and throws the others (ENOMEM, EIO, ETXTBSY).
      return recover({ pid: undefined, cause: systemCode(error), startedMs, served: false })
    }
    const born: Life = {
      child,
      startedMs,
      serves: false,
      ports: new Set(inherited.map(({ id }) => id)),
      answering: createAnswering(() => put(born, { what: 'ping' }), {
        silent: (ms) => log.error({ worker: number, pid: child.pid, ms }, 'worker does not answer'),
        again: (ms) => log.warn({ worker: number, pid: child.pid, ms }, 'worker answers again'),
      }),
      waiting: new Map(),
      ended: Promise.withResolvers(),
      ledger: parts.ledger.join(),
      configure: createDelivery({
        settings: parts.settings,
        sendUsers: (piece) => put(born, { what: 'users', piece }),
        start: (settings) => send(born, { kind: 'start', ...parts.greeting(), settings, ...portsOf(inherited) }),
        async configure(settings) {
          const ports = parts.ports()
          const ids = new Set(ports.map(({ id }) => id))
          for (const id of born.ports) if (!ids.has(id)) born.ports.delete(id)
          for (const port of ports) void sendPort(born, port)
          return put(born, { what: 'configure', settings, ports: addressesOf(ports) })
        },
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

  /** The ports that a process inherits, and those that it serves: a reload may have come after its start. */
  const portsOf = (inherited: readonly BoundPort[]): { ports: OpenPort[]; served: OpenPort[] } => ({
    ports: addressesOf(inherited),
    served: addressesOf(parts.ports()),
  })

  /** Settles when the message is sent, or if the process has ended, which `end` reports. */
  function send({ child }: Life, message: ToWorker, handle?: SendHandle): Promise<void> {
    return new Promise((resolve) => {
      if (child.connected) child.send(message, handle, {}, () => resolve())
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
      case 'prepared':
        return void parts.mayAccept().then(() => send(born, { kind: 'accept' }), first.reject)
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
      case 'last':
        return parts.onLast(message.reading)
      case 'ledger':
        return answerLedger(born, message)
      case 'ledger-note':
        return born.ledger.note(message.note)
      case 'marker':
        return memory.noteMarker(self, message)
      case 'standIns':
        void memory
          .standIns(self, message.question)
          .then((told) => send(born, { kind: 'standIns', id: message.id, told }))
    }
  }

  function answerLedger(born: Life, { id, ask: asked }: ToSupervisor & { kind: 'ledger' }): void {
    born.ledger.ask(asked).then(
      (reply) => send(born, { kind: 'ledger', id, reply }),
      () => undefined, // it has ended
    )
  }

  function end(born: Life, cause: string): void {
    life = undefined
    born.ledger.end()
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

  /** @param withinMs undefined: without a deadline */
  function put<A extends Ask>(
    born: Life,
    question: A,
    withinMs?: number,
    handle?: SendHandle,
  ): Promise<Answer[A['what']]> {
    const id = questions++
    const asked = Promise.withResolvers<unknown>()
    const late = (): void => asked.reject(new Error(`worker ${number} does not answer within ${withinMs ?? 0} ms`))
    const timer = withinMs === undefined ? undefined : setTimeout(late, withinMs)
    born.waiting.set(id, asked)
    void send(born, { kind: 'ask', id, ask: question }, handle)
    return asked.promise.finally(() => {
      clearTimeout(timer)
      born.waiting.delete(id)
    }) as Promise<Answer[A['what']]>
  }

  /** @returns what is wrong if the worker cannot open it; a worker that does not answer opens it later */
  async function sendPort(born: Life, port: BoundPort, withinMs?: number): Promise<string | undefined> {
    if (born.ports.has(port.id)) return undefined
    born.ports.add(port.id)
    const opened = put(born, { what: 'port', port: addressOf(port) }, withinMs, port.handle)
    return opened.then(({ wrong }) => wrong).catch(() => undefined)
  }

  /** Refuses questions to a worker that does not answer, so that they do not accumulate. */
  function ask<A extends Ask>(question: A, withinMs: number): Promise<Answer[A['what']]> {
    if (life?.serves === true && !life.answering.isSilent()) return put(life, question, withinMs)
    return Promise.reject(new Error(`worker ${number} does not answer`))
  }

  const pinging = setInterval(() => {
    if (life?.serves) life.answering.ping()
  }, PING_MS)

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
      return life.answering.isSilent() ? 'not-answering' : 'up'
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
      if (born.answering.isSilent()) return false
      const giveUp = new AbortController()
      const late = sleep(withinMs, false, { signal: giveUp.signal }).catch(() => false)
      const isTaken = await Promise.race([delivered, late])
      giveUp.abort()
      return isTaken
    },
    async open(ports, withinMs) {
      const born = life // the process after it inherits them
      const wrong = born ? await Promise.all(ports.map((port) => sendPort(born, port, withinMs))) : []
      return wrong.find((one) => one !== undefined)
    },
    shut(ports) {
      if (!life) return
      for (const { id } of ports) life.ports.delete(id)
      void send(life, { kind: 'shut', ports: addressesOf(ports) })
    },
    async stop(withinMs, how = { mayLogIn: false }) {
      stopping = true
      clearTimeout(again)
      clearInterval(pinging)
      if (!life) return
      const { child, ended } = life
      void send(life, { kind: 'stop', ...how })
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
