/** A worker's own side: serves the settings that the supervisor sends, answers its questions, and ends on its order or when the channel closes. */
import type { UserTable } from '../config/build/user-table.ts'
import { openInherited, openSent } from '../listener/bound-ports.ts'
import { createDoors } from '../listener/doors.ts'
import type { OpenPort } from '../listener/ports.ts'
import { createRemoteLedger, type RemoteLedger } from '../limits/remote-ledger.ts'
import { createLogLimit } from '../log-limit.ts'
import { createLog, type AdjustableLog } from '../log.ts'
import type { LogOutput } from '../log-output.ts'
import { createMetrics } from '../metrics/metrics.ts'
import { createRegistry } from '../metrics/readings.ts'
import type { App } from '../app.ts'
import type { CreateApp } from './in-process.ts'
import { FIRST_INHERITED, type Ask, type ToSupervisor, type ToWorker } from './messages.ts'
import { createOtherWorkers, type OtherWorkers } from './other-workers.ts'
import { oncePerTurn } from './once-per-turn.ts'
import { unpack } from './packed.ts'
import { followLogFile, reopenLogFile } from './log-file.ts'
import { createTableReceiver, type TablePiece } from './table-pieces.ts'

/** The channel to the supervisor, and the exit of the process. */
export type Channel = {
  /** @param then called when the message is sent */
  send: (message: ToSupervisor, then?: () => void) => void
  /** `handle`: of the port that comes with the message */
  onMessage: (hear: (message: ToWorker, handle?: unknown) => void) => void
  /** `gone` is called when the supervisor has ended. */
  onGone: (gone: () => void) => void
  exit: (code: number) => void
}

type Serving = {
  app: App
  output: LogOutput
  log: AdjustableLog
  registry: ReturnType<typeof createRegistry>
  others: OtherWorkers
  /** From now on these ports serve. */
  serve: (ports: OpenPort[]) => void
  ledger: RemoteLedger
}

export function serveWorker({ send, onMessage, onGone, exit }: Channel, createApp: CreateApp, output: LogOutput): void {
  let serving: Serving | undefined
  let ready = false
  let stopping = false
  const users = createTableReceiver()
  const accepted = Promise.withResolvers<undefined>()
  const doors = createDoors()
  let served: OpenPort[] = []

  function begin({
    worker,
    settings: packed,
    ticketSecret,
    ports,
    markers,
    blocks,
    ...rest
  }: ToWorker & { kind: 'start' }): void {
    served = rest.served
    const settings = unpack(packed, users.table())
    const log = createLog(output, settings.log, worker)
    // Without its file, a worker that is started again must serve nevertheless. The supervisor's start has opened the file before.
    followLogFile(output, settings.log.file, log)
    const registry = createRegistry(output.dropped)
    const others = createOtherWorkers(markers, send)
    const limit = createLogLimit<'ledger'>()
    const ledger = createRemoteLedger(
      {
        ask: (id, asked) => send({ kind: 'ledger', id, ask: asked }),
        note: (note) => send({ kind: 'ledger-note', note }),
      },
      () => {
        const others = limit('ledger')
        if (others) log.warn({ ...others }, 'limits not checked')
      },
    )
    const app = createApp(settings, {
      log,
      metrics: createMetrics(registry),
      ticketSecret: unpack(ticketSecret).reveal(),
      async listen(_, accept) {
        send({ kind: 'prepared' })
        await accepted.promise
        doors.attend(accept)
        await openInherited(doors, ports, FIRST_INHERITED)
        doors.serve(served)
        return { addresses: served, close: doors.close }
      },
      others: others.others,
      ledger: ledger.ledger,
      blocks,
      onShort: oncePerTurn(() => send({ kind: 'short' })),
    })
    const serve = (next: OpenPort[]): void => {
      served = next
      if (ready) doors.serve(served)
    }
    serving = { app, output, log, registry, others, ledger, serve }
    app.start().then(
      () => {
        ready = true
        send({ kind: 'ready' })
      },
      (error: unknown) => fail(error instanceof Error ? error.message : String(error)),
    )
  }

  function fail(why: string): void {
    send({ kind: 'failed', why }, () => exit(1))
  }

  /** Before it serves, it has no sessions to wait for. */
  function stop(how = { mayLogIn: false }): void {
    if (stopping) return
    stopping = true
    if (!ready || !serving) return exit(0)
    const { app, log, registry } = serving
    const end = async (): Promise<void> => {
      await app.stop(how)
      const reading = await registry.getMetricsAsJSON()
      send({ kind: 'last', reading }, () => exit(0))
    }
    end().catch((error: unknown) => {
      log.error({ err: error }, 'defect')
      exit(1)
    })
  }

  /** A table for which memory is missing must not end the sessions of this process: they go on with the old table. */
  function take(id: number, piece: TablePiece): void {
    try {
      users.accept(piece)
    } catch (error) {
      return send({ kind: 'no-answer', id, why: error instanceof Error ? error.message : String(error) })
    }
    send({ kind: 'answer', id, answer: true })
  }

  function answer({ id, ask }: ToWorker & { kind: 'ask' }, handle: unknown): void {
    if (ask.what === 'users') return take(id, ask.piece)
    if (ask.what === 'port')
      return void openSent(doors, ask.port, handle).then(
        () => send({ kind: 'answer', id, answer: {} }),
        (error: unknown) =>
          send({ kind: 'answer', id, answer: { wrong: error instanceof Error ? error.message : String(error) } }),
      )
    const told = serving ? tell(ask, serving, users.table()) : Promise.reject(new Error('not started'))
    told.then(
      (answer) => send({ kind: 'answer', id, answer }),
      (error: unknown) => {
        serving?.log.error({ err: error }, 'defect')
        send({ kind: 'no-answer', id, why: 'internal error' })
      },
    )
  }

  onMessage((message, handle) => {
    switch (message.kind) {
      case 'start':
        return begin(message)
      case 'ask':
        return answer(message, handle)
      case 'shut':
        return doors.shut(message.ports)
      case 'discard':
        return serving?.app.discard()
      case 'marker':
      case 'standIns':
        return serving?.others.hear(message)
      case 'ledger':
        return serving?.ledger.hear(message.id, message.reply)
      case 'accept':
        return accepted.resolve(undefined)
      case 'stop':
        return stop(message)
    }
  })
  onGone(() => {
    if (!stopping) serving?.log.error('the supervisor has gone')
    // Its ports may be open still, held by the service manager: no client that this process has accepted is to notice.
    stop({ mayLogIn: true })
  })
}

/** @param users the table that arrived last */
async function tell(
  ask: Exclude<Ask, { what: 'users' | 'port' }>,
  { app: { answers, prepare, takeOver }, output, log, registry, serve }: Serving,
  users: UserTable | undefined,
): Promise<unknown> {
  switch (ask.what) {
    case 'ping':
      return true
    case 'prepare':
      return prepare(unpack(ask.directory)).then(
        () => ({}),
        (error: unknown) => ({ wrong: error instanceof Error ? error.message : String(error) }),
      )
    case 'configure': {
      const settings = unpack(ask.settings, users)
      // A process that was started after the preparation connects now. The others have these settings: it takes them in any case.
      await prepare(settings.directory).catch(() => undefined)
      log.configure(settings.log)
      followLogFile(output, settings.log.file, log)
      takeOver(settings)
      serve(ask.ports) // in the same step: each connection finds its listener in the new world
      return true
    }
    case 'closePorts':
      serve([])
      return true
    case 'reading':
      return registry.getMetricsAsJSON()
    case 'reopenLog':
      reopenLogFile(output, log)
      return true
    case 'logLevel':
      log.override(ask.level)
      return true
    case 'backends':
      return answers.backends()
    case 'blocks':
      return answers.setBlocks(ask.blocks)
    case 'lease':
      return answers.lease(ask.caps)
    case 'trace':
      return answers.trace(ask.order)
    case 'sessions':
      return answers.sessions(ask.filter)
    case 'refusals':
      return answers.refusals(ask.question)
    case 'quiesce':
      return answers.quiesce(ask.question)
    case 'endSessions':
      return answers.endSessions(ask.order)
    case 'setBackendState':
      return answers.setBackendState(ask.change)
    case 'standIn':
      return answers.standIn(ask.question)
    case 'explain':
      return answers.explain(ask.question)
    case 'testLogin':
      return answers.testLogin(ask.question, unpack(ask.password))
  }
}
