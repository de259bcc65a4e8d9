/**
 * The journal of a bulk move: one JSON object a line for each transition of a user. It is on the disk before a user counts as done, so
 * that a bulk move that was killed can go on. It says what was done; where a user is now, the directory says.
 */
import { closeSync, fsync, openSync, readFileSync, rmSync, statSync, truncateSync, writeSync } from 'node:fs'
import type { MoveOrder, MoveOutcome, MoveStep } from './move-user.ts'

/** `begun`: without an end. The token of the hold, if there was one, ends what is left of it. */
export type UserState =
  { kind: 'begun'; from: string; to: string; token: string } | { kind: 'moved' } | { kind: 'failed' }

export type Journal = {
  /** of the runs before and of this one */
  readonly users: ReadonlyMap<string, UserState>
  /** aborted with a JournalUnusable when it cannot be written any more, such as on a full disk. Nothing is written after that */
  readonly lost: AbortSignal
  begin(order: MoveOrder, token: string): void
  step(user: string, step: MoveStep): void
  /** Resolves when it is on the disk, or the journal is lost. */
  end(order: MoveOrder, outcome: MoveOutcome): Promise<void>
  close(): void
}

/** Cannot be used, in words for the operator. */
export class JournalUnusable extends Error {}

export type JournalLine = { time: string; user?: string; event: string; [field: string]: unknown }

/** What a journal belongs to. A second run must say the same. */
export type JournalScope = { from: string; to: string | null }

/** @returns how many octets the system has taken */
type WriteOctets = (fd: number, octets: Uint8Array) => number

/** @throws JournalUnusable */
export function openJournal(file: string, scope: JournalScope, writeOctets: WriteOctets = writeSync): Journal {
  const lock = lockJournal(file)
  const users = new Map<string, UserState>()
  const lost = new AbortController()
  let fd: number
  try {
    const isNew = readLines(file, scope, users)
    fd = openSync(file, 'a', 0o600)
    if (isNew) write({ event: 'bulk', ...scope })
    lost.signal.throwIfAborted()
  } catch (error) {
    lock.release()
    throw unusable(error)
  }

  function unusable(error: unknown): JournalUnusable {
    if (error instanceof JournalUnusable) return error
    return new JournalUnusable(`${file}: ${error instanceof Error ? error.message : String(error)}`)
  }

  /** A line behind a part of another one would damage the journal. */
  function write(fields: Omit<JournalLine, 'time'>): void {
    if (lost.signal.aborted) return
    let octets = Buffer.from(`${JSON.stringify({ time: new Date().toISOString(), ...fields })}\n`)
    try {
      while (octets.length > 0) octets = octets.subarray(writeOctets(fd, octets))
    } catch (error) {
      lost.abort(unusable(error))
    }
  }

  return {
    users,
    lost: lost.signal,
    begin({ user, from, to }, token) {
      users.set(user, { kind: 'begun', from, to, token })
      write({ event: 'begin', user, from, to, token })
    },
    step: (user, step) => write({ event: 'step', user, step }),
    async end({ user }, outcome) {
      // A user whose route is not known after the failure is checked again by the next run.
      const isKnown = outcome.kind === 'moved' || outcome.route === 'old'
      if (isKnown) users.set(user, { kind: outcome.kind })
      write(
        outcome.kind === 'moved'
          ? { event: 'moved', user, held_ms: Math.round(outcome.heldMs) }
          : { event: isKnown ? 'failed' : 'unknown', user, step: outcome.step, why: outcome.why },
      )
      await new Promise<void>((resolve) =>
        fsync(fd, (error) => {
          if (error && !lost.signal.aborted) lost.abort(unusable(error))
          resolve()
        }),
      )
    },
    close() {
      closeSync(fd)
      lock.release()
    },
  }
}

/** @returns whether there is none yet */
function readLines(file: string, scope: JournalScope, users: Map<string, UserState>): boolean {
  // To open a FIFO would block the process, and its signals with it.
  if (statSync(file, { throwIfNoEntry: false })?.isFile() === false)
    throw new JournalUnusable(`${file}: not a regular file`)
  let octets: Buffer
  try {
    octets = readFileSync(file)
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return true
    throw error
  }
  // A run that was killed may have left a part of its last line. The directory knows what that line would have said.
  const whole = octets.lastIndexOf('\n') + 1
  if (whole < octets.length) truncateSync(file, whole)
  const lines = octets.toString('utf8', 0, whole).split('\n').slice(0, -1)
  if (lines.length === 0) return true
  for (const [index, line] of lines.entries()) {
    const record = parse(line)
    if (!record) throw new JournalUnusable(`${file}:${index + 1}: no line of a journal`)
    if (index === 0 && (record.event !== 'bulk' || record.from !== scope.from || record.to !== scope.to))
      throw new JournalUnusable(`${file}: the journal of another move`)
    note(record, users)
  }
  return false
}

function note({ event, user, from, to, token }: JournalLine, users: Map<string, UserState>): void {
  if (user === undefined) return
  if (event === 'moved' || event === 'failed') users.set(user, { kind: event })
  else if (event === 'begin' && typeof from === 'string' && typeof to === 'string' && typeof token === 'string')
    users.set(user, { kind: 'begun', from, to, token })
}

function parse(line: string): JournalLine | undefined {
  try {
    const record: unknown = JSON.parse(line)
    const isLine =
      typeof record === 'object' && record !== null && 'event' in record && typeof record.event === 'string'
    return isLine ? (record as JournalLine) : undefined
  } catch {
    return undefined
  }
}

/** Two processes must not go on with one journal. The lock of a process that has ended is taken over. */
function lockJournal(file: string): { release: () => void } {
  const lock = `${file}.lock`
  for (let attempt = 0; ; attempt++) {
    try {
      const fd = openSync(lock, 'wx', 0o600)
      writeSync(fd, String(process.pid))
      closeSync(fd)
      return { release: () => rmSync(lock, { force: true }) }
    } catch (error) {
      const isThere = error instanceof Error && 'code' in error && error.code === 'EEXIST'
      const pid = isThere ? Number(readFileSync(lock, 'utf8')) : NaN
      if (!isThere || attempt > 0 || isRunning(pid))
        throw new JournalUnusable(
          isThere ? `${file}: process ${pid} uses the journal (${lock})` : `${lock}: ${String(error)}`,
        )
      rmSync(lock, { force: true })
    }
  }
}

function isRunning(pid: number): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
