/** What an operator, or another worker, may ask of a worker and have done by it: each answer with the modules that give it. */
import type { BackendStateOrder, BackendStateResult, Directory, StandIn } from './directory/directory.ts'
import type { BlockTarget } from './blocks/block.ts'
import type { BlockTable } from './blocks/block-table.ts'
import { MuxError } from './errors.ts'
import { reportBackend, type BackendReport, type RunningBackends } from './inspect/backend-report.ts'
import { explain, type Explanation } from './inspect/explain.ts'
import { capsByBackend, usesByKey } from './leases/keys.ts'
import type { Caps, Uses } from './leases/lessor.ts'
import { testLogin, type LoginTest } from './inspect/login-test.ts'
import type { Question } from './inspect/question.ts'
import type { Log } from './log.ts'
import type { LoginServices } from './login/login.ts'
import type { Text } from './octets.ts'
import type { Secret } from './secret.ts'
import type { SessionFilter } from './session/filter.ts'
import type { Quiescence } from './session/quiesce.ts'
import type { RefusalRecord } from './session/refusal-record.ts'
import type { Rebalance } from './session/rebalance.ts'
import type { Sessions } from './session/sessions.ts'
import type { TraceOrder, TraceReport } from './trace/line.ts'
import type { Traces } from './trace/traces.ts'
import type { World } from './world.ts'

/**
 * `now`: a session with a command in progress is cut at once. `rebalance`: a share of the matching sessions that relay ends over a window,
 * with the cause `rebalanced`.
 */
export type EndOrder = SessionFilter & { now: boolean; rebalance?: Rebalance | undefined }

export type StateChange = { backend: string; order: BackendStateOrder | undefined }

/** `no-place`: the directory of the configuration has no states. `unavailable`: it cannot be asked now. */
export type NotChanged = { result: 'no-place' | 'unavailable'; why: string }

export type Answers = {
  explain: (question: Question) => Promise<Explanation | { wrong: string }>
  testLogin: (question: Question, password: Secret) => Promise<LoginTest | { wrong: string }>
  backends: () => BackendReport[]
  sessions: Sessions['list']
  /** the last refused logins, the newest first */
  refusals: RefusalRecord['list']
  /** Ends the matching sessions with the cause `kicked`, or a share of them. @returns how many end */
  endSessions: (order: EndOrder) => number
  /** Whether a user on hold has left a back end: see `quiesce`. */
  quiesce: (question: { user: Text; backend: string; token: string }) => Promise<Quiescence>
  /** Gives a back end a state in the directory; removes it without an order. */
  setBackendState: (change: StateChange) => Promise<BackendStateResult | NotChanged>
  /** Takes over the leased limits of back ends. @returns what is used of them */
  lease: (caps: Caps) => Uses
  /** Rejects these addresses and users from now on, and no others. @returns how many sessions end for that */
  setBlocks: (blocks: readonly BlockTarget[]) => number
  /** Begins a trace or goes on with it, and gives its lines; or ends it. */
  trace: (order: TraceOrder | { id: string; ends: true }) => TraceReport
  /** What another worker may use of this one's memory while the directory is unavailable. */
  standIn: (question: { store: string; user: Text }) => StandIn | undefined
}

export type AnswerSources = RunningBackends & {
  world: () => World
  logins: LoginServices
  sessions: Pick<Sessions, 'list' | 'end' | 'rebalance'>
  refusals: RefusalRecord['list']
  quiesce: Answers['quiesce']
  blocks: Pick<BlockTable, 'replace'>
  traces: Pick<Traces, 'collect' | 'end'>
  /** the one in force, and what identifies its store */
  directory: () => Pick<Directory, 'standInFor' | 'setBackendState'>
  store: () => string
  log: Log
}

export function createAnswers(sources: AnswerSources): Answers {
  const { world, logins, sessions, refusals, quiesce, blocks, traces, directory, store, log, ...running } = sources
  return {
    explain: (question) => explain(question, world(), running),
    testLogin: (question, password) => testLogin(question, password, world(), { logins, log }),
    backends: () => [...world().backends.values()].map((backend) => reportBackend(backend, running)),
    sessions: sessions.list,
    refusals,
    endSessions: ({ now, rebalance, ...filter }) =>
      rebalance ? sessions.rebalance(filter, rebalance) : sessions.end(filter, 'kicked', { now }),
    quiesce,
    setBackendState: (change) =>
      change.order?.reassign && directory().setBackendState && world().router.reassignsTo(change.backend).length === 0
        ? Promise.resolve(noTargets(change.backend))
        : setBackendState(directory(), change),
    lease: (caps) => usesByKey(running.admissions.lease(capsByBackend(caps))),
    setBlocks: (targets) =>
      blocks
        .replace(targets)
        .map(({ kind, target }) => sessions.end(kind === 'user' ? { user: target } : { client: target }, 'kicked'))
        .reduce((sum, ended) => sum + ended, 0),
    trace: (order) => ('ends' in order ? traces.end(order.id) : traces.collect(order)),
    // A route of another store says nothing of this one, before and after a reload that replaces the directory.
    standIn: (question) => (question.store === store() ? directory().standInFor?.(question.user) : undefined),
  }
}

function noTargets(backend: string): NotChanged {
  const why = `the users of ${backend} cannot be reassigned: by \`placement\` of routing.yaml no other back end that serves as much takes users`
  return { result: 'no-place', why }
}

async function setBackendState(
  directory: ReturnType<AnswerSources['directory']>,
  { backend, order }: StateChange,
): Promise<BackendStateResult | NotChanged> {
  if (!directory.setBackendState) {
    const why = order?.reassign
      ? `without Redis the users of ${backend} cannot be reassigned, as their routes are not in a directory that mailmux can change`
      : `without Redis it is changed in routing.yaml: write \`state: ${order?.state ?? 'up'}\` for ${backend}, which is in force seconds later`
    return { result: 'no-place', why }
  }
  try {
    return await directory.setBackendState(backend, order)
  } catch (error) {
    if (error instanceof MuxError) return { result: 'unavailable', why: error.message }
    throw error
  }
}
