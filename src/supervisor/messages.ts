/** What the supervisor and its workers say to each other, over a channel that nobody else has. */
import type { Answers } from '../answers.ts'
import type { OpenPort } from '../listener/listener.ts'
import type { Reading } from '../metrics/readings.ts'
import type { Settings } from '../config/settings.ts'
import type { Secret } from '../secret.ts'
import type { Packed } from './packed.ts'
import type { TablePiece } from './table-pieces.ts'

type First<F extends (...args: never[]) => unknown> = Parameters<F>[0]

/** What a worker can be asked. */
export type Ask =
  | { what: 'ping' }
  /** Takes a part of the table of users. All of it goes ahead of the settings in which it is new, also of the first. */
  | { what: 'users'; piece: TablePiece }
  | { what: 'configure'; settings: Packed<Settings> }
  | { what: 'reading' }
  | { what: 'backends' }
  | { what: 'sessions'; filter: First<Answers['sessions']> }
  | { what: 'quiesce'; question: First<Answers['quiesce']> }
  | { what: 'endSessions'; order: First<Answers['endSessions']> }
  | { what: 'setBackendState'; change: First<Answers['setBackendState']> }
  | { what: 'standIn'; user: First<Answers['standIn']> }
  | { what: 'explain'; question: First<Answers['explain']> }
  | { what: 'testLogin'; question: First<Answers['testLogin']>; password: Packed<Secret> }

/** ... and what it answers. */
export type Answer = {
  ping: true
  users: true
  configure: true
  reading: Reading
  backends: ReturnType<Answers['backends']>
  sessions: ReturnType<Answers['sessions']>
  quiesce: Awaited<ReturnType<Answers['quiesce']>>
  endSessions: ReturnType<Answers['endSessions']>
  setBackendState: Awaited<ReturnType<Answers['setBackendState']>>
  standIn: ReturnType<Answers['standIn']>
  explain: Awaited<ReturnType<Answers['explain']>>
  testLogin: Awaited<ReturnType<Answers['testLogin']>>
}

export type StandIn = NonNullable<Answer['standIn']>

export type ToWorker =
  | {
      kind: 'start'
      worker: number
      settings: Packed<Settings>
      ticketSecret: Packed<Secret>
      /** in the order of the descriptors that the worker inherits */
      ports: OpenPort[]
      /** of the directory, that a worker has seen last; undefined: none has seen one */
      marker: string | undefined
    }
  /** another worker has seen this marker of the directory */
  | { kind: 'marker'; id: string }
  /** what other workers remember of the user that was asked about under this id */
  | { kind: 'standIns'; id: number; told: StandIn[] }
  | { kind: 'ask'; id: number; ask: Ask }
  | { kind: 'stop' }

export type ToSupervisor =
  | { kind: 'ready' }
  /** it cannot serve, and says why to the operator */
  | { kind: 'failed'; why: string }
  | { kind: 'answer'; id: number; answer: unknown }
  | { kind: 'no-answer'; id: number; why: string }
  /** the directory has shown this marker */
  | { kind: 'marker'; id: string }
  /** asks what other workers remember of a user */
  | { kind: 'standIns'; id: number; user: First<Answers['standIn']> }

/**
 * The descriptor on which a worker writes its log: the supervisor's standard output, behind the worker's standard descriptors and the
 * channel. It is not the worker's own standard output, since libuv makes that one blocking in each child, and with it the supervisor's,
 * which is the same open file.
 */
export const LOG_DESCRIPTOR = 4
/** The first descriptor of a bound port that a worker inherits. */
export const FIRST_INHERITED = 5
