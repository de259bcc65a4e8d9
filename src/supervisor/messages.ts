/** The messages between the supervisor and its workers. The channel is a socket pair that no other process has. */
import type { Answers } from '../answers.ts'
import type { OpenPort } from '../listener/ports.ts'
import type { LedgerNote, LedgerQuestion, LedgerReply } from '../limits/ledger-calls.ts'
import type { LogForm } from '../log.ts'
import type { Reading } from '../metrics/readings.ts'
import type { DirectorySettings, Settings } from '../config/settings.ts'
import type { Secret } from '../secret.ts'
import type { Packed } from './packed.ts'
import type { TablePiece } from './table-pieces.ts'

type First<F extends (...args: never[]) => unknown> = Parameters<F>[0]

/** The questions to a worker. */
export type Ask =
  | { what: 'ping' }
  /** Transfers a part of the table of users. The whole table is sent before the settings that refer to it, including the first settings. */
  | { what: 'users'; piece: TablePiece }
  /** Opens a port, whose handle comes with the message. Its connections wait until the settings that have it are in force. */
  | { what: 'port'; port: OpenPort }
  /** Closes all ports; the settings stay. */
  | { what: 'closePorts' }
  /** Puts settings into force, together with the ports that serve from then on. */
  | { what: 'configure'; settings: Packed<Settings>; ports: OpenPort[] }
  /** Connects this directory, if it is another one than that in force. */
  | { what: 'prepare'; directory: Packed<DirectorySettings> }
  | { what: 'reading' }
  /** Opens the file of the log anew. */
  | { what: 'reopenLog' }
  /** Logs with an operator's level; undefined: with that of the configuration again. */
  | { what: 'logLevel'; level: LogForm['level'] | undefined }
  | { what: 'backends' }
  | { what: 'blocks'; blocks: First<Answers['setBlocks']> }
  | { what: 'trace'; order: First<Answers['trace']> }
  | { what: 'lease'; caps: First<Answers['lease']> }
  | { what: 'sessions'; filter: First<Answers['sessions']> }
  | { what: 'refusals'; question: First<Answers['refusals']> }
  | { what: 'quiesce'; question: First<Answers['quiesce']> }
  | { what: 'endSessions'; order: First<Answers['endSessions']> }
  | { what: 'setBackendState'; change: First<Answers['setBackendState']> }
  | { what: 'standIn'; question: First<Answers['standIn']> }
  | { what: 'explain'; question: First<Answers['explain']> }
  | { what: 'testLogin'; question: First<Answers['testLogin']>; password: Packed<Secret> }

/** The answer to each question. */
export type Answer = {
  ping: true
  users: true
  port: { wrong?: string }
  closePorts: true
  configure: true
  prepare: { wrong?: string }
  reading: Reading
  reopenLog: true
  logLevel: true
  backends: ReturnType<Answers['backends']>
  blocks: ReturnType<Answers['setBlocks']>
  lease: ReturnType<Answers['lease']>
  trace: ReturnType<Answers['trace']>
  sessions: ReturnType<Answers['sessions']>
  refusals: ReturnType<Answers['refusals']>
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
      /** those that it serves now */
      served: OpenPort[]
      /** for each store the marker that any worker has seen last */
      markers: [store: string, id: string][]
      /** the addresses and users that operators have blocked */
      blocks: First<Answers['setBlocks']>
    }
  /** another worker has seen this marker of the directory with this store */
  | { kind: 'marker'; store: string; id: string }
  /** the routes that other workers remember, for the question with this id */
  | { kind: 'standIns'; id: number; told: StandIn[] }
  | { kind: 'ledger'; id: number; reply: LedgerReply }
  | { kind: 'ask'; id: number; ask: Ask }
  /** The prepared directory does not come into force: the reload was refused. */
  | { kind: 'discard' }
  /** These ports do not come into force: the reload was refused. */
  | { kind: 'shut'; ports: OpenPort[] }
  /** It may open its ports now. */
  | { kind: 'accept' }
  /** `mayLogIn`: sessions before login may still log in */
  | { kind: 'stop'; mayLogIn: boolean }

export type ToSupervisor =
  /** it waits for `accept` */
  | { kind: 'prepared' }
  | { kind: 'ready' }
  /** a login waits for more of a limit than is leased to this worker */
  | { kind: 'short' }
  /** what it has counted until its orderly end */
  | { kind: 'last'; reading: Reading }
  /** it cannot serve; `why` is for the operator */
  | { kind: 'failed'; why: string }
  | { kind: 'answer'; id: number; answer: unknown }
  | { kind: 'no-answer'; id: number; why: string }
  /** a question to the ledger of the limits, and what needs no answer */
  | { kind: 'ledger'; id: number; ask: LedgerQuestion }
  | { kind: 'ledger-note'; note: LedgerNote }
  /** the directory with this store contains this marker */
  | { kind: 'marker'; store: string; id: string }
  /** asks for the routes of a user that other workers remember */
  | { kind: 'standIns'; id: number; question: First<Answers['standIn']> }

/**
 * The descriptor on which a worker writes its log. It is the supervisor's standard output, and its number follows the worker's standard
 * descriptors and the channel. It is not the worker's standard output: libuv makes that one blocking in each child, and the supervisor's
 * standard output, which is the same open file, would become blocking too.
 */
export const LOG_DESCRIPTOR = 4
/** The first descriptor of a bound port that a worker inherits. */
export const FIRST_INHERITED = 5
