/** What an operator, or another worker, may ask of a worker and have done by it: each answer with the modules that give it. */
import type { StandIn } from './directory/directory.ts'
import { reportBackend, type BackendReport, type RunningBackends } from './inspect/backend-report.ts'
import { explain, type Explanation } from './inspect/explain.ts'
import { testLogin, type LoginTest } from './inspect/login-test.ts'
import type { Question } from './inspect/question.ts'
import type { Log } from './log.ts'
import type { LoginServices } from './login/login.ts'
import type { Text } from './octets.ts'
import type { Secret } from './secret.ts'
import type { SessionFilter } from './session/filter.ts'
import type { Quiescence } from './session/quiesce.ts'
import type { Sessions } from './session/sessions.ts'
import type { World } from './world.ts'

/** `now`: a session with a command in progress is cut at once. */
export type EndOrder = SessionFilter & { now: boolean }

export type Answers = {
  explain: (question: Question) => Promise<Explanation | { wrong: string }>
  testLogin: (question: Question, password: Secret) => Promise<LoginTest | { wrong: string }>
  backends: () => BackendReport[]
  sessions: Sessions['list']
  /** Ends the matching sessions with the cause `kicked`. @returns how many match */
  endSessions: (order: EndOrder) => number
  /** Whether a user on hold has left a back end: see `quiesce`. */
  quiesce: (question: { user: Text; backend: string; token: string }) => Promise<Quiescence>
  /** What another worker may use of this one's memory while the directory is unavailable. */
  standIn: (user: Text) => StandIn | undefined
}

export type AnswerSources = RunningBackends & {
  world: () => World
  logins: LoginServices
  sessions: Pick<Sessions, 'list' | 'end'>
  quiesce: Answers['quiesce']
  standIn: Answers['standIn']
  log: Log
}

export function createAnswers({ world, logins, sessions, quiesce, standIn, log, ...running }: AnswerSources): Answers {
  return {
    explain: (question) => explain(question, world(), running),
    testLogin: (question, password) => testLogin(question, password, world(), { logins, log }),
    backends: () => [...world().backends.values()].map((backend) => reportBackend(backend, running)),
    sessions: sessions.list,
    endSessions: ({ now, ...filter }) => sessions.end(filter, 'kicked', { now }),
    quiesce,
    standIn,
  }
}
