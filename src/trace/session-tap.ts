/**
 * Reads along with a session after login, beside its watch. Only a traced session has a tap. It begins where the watch says that no command
 * is in progress, so that both sides are at the beginning of a line.
 */
import type { SeenLine, SessionView } from '../protocol/shown.ts'
import type { PassOn, SessionGuard, SessionObserver, SessionWatch } from '../protocol/watch.ts'
import type { Leg } from './line.ts'
import type { Sink } from './wires.ts'

/** What is kept of a line until its end. A list of message numbers has some kilobytes. */
const MAX_HEAD_LENGTH = 16 * 1024
/** The end of a longer line, where it announces a literal: `{4294967295+}` and the CR. */
const MAX_TAIL_LENGTH = 16

const LF = 10

export class SessionTap {
  readonly #sink: Sink
  readonly #client: Direction
  readonly #backend: Direction
  #isInStep = false

  constructor(view: SessionView, sink: Sink) {
    this.#sink = sink
    this.#client = new Direction((line, isContinued) => this.#see('from-client', view.fromClient(line, isContinued)))
    this.#backend = new Direction((line, isContinued) => this.#see('from-backend', view.fromBackend(line, isContinued)))
  }

  /** To be called before each chunk, ahead of the watch. @returns whether the tap is to get it */
  follows(watch: { isIdle(): boolean }): boolean {
    if (!this.#sink.isActive) return false
    if (!this.#isInStep && watch.isIdle()) {
      this.#isInStep = true
      this.#client.reset()
      this.#backend.reset()
    }
    return this.#isInStep
  }

  fromClient(chunk: Buffer): void {
    this.#client.take(chunk)
  }

  fromBackend(chunk: Buffer): void {
    this.#backend.take(chunk)
  }

  stop(why: string): void {
    this.tellCounts()
    this.#isInStep = false
    this.#sink.note(why)
  }

  #see(leg: Leg, seen: SeenLine): SeenLine {
    if (seen.refusesLiteral) this.#client.dropLiteral()
    if (seen.text !== undefined) {
      this.tellCounts()
      this.#sink.line(leg, seen.text)
    }
    return seen
  }

  /** What has not been shown until now. */
  tellCounts(): void {
    for (const [leg, direction] of [
      ['from-client', this.#client],
      ['from-backend', this.#backend],
    ] as const) {
      const octets = direction.takeCount()
      if (octets > 0) this.#sink.line(leg, `[${octets} octets]`)
    }
  }
}

/** The lines and literals of one side. */
class Direction {
  readonly #see: (line: string, isContinued: boolean) => SeenLine
  #head = ''
  #tail = ''
  #lineOctets = 0
  #literal = 0
  #literalLeft = 0
  #comesUnasked = false
  #isSecret = false
  #isContinued = false
  #count = 0

  constructor(see: (line: string, isContinued: boolean) => SeenLine) {
    this.#see = see
  }

  reset(): void {
    this.#head = this.#tail = ''
    this.#lineOctets = this.#literal = this.#literalLeft = 0
    this.#isContinued = false
  }

  take(chunk: Buffer): void {
    for (let at = 0; at < chunk.length;) {
      if (this.#literalLeft > 0) {
        const skipped = Math.min(this.#literalLeft, chunk.length - at)
        this.#literalLeft -= skipped
        if (!this.#isSecret) this.#count += skipped
        at += skipped
        continue
      }
      const end = chunk.indexOf(LF, at)
      const stop = end === -1 ? chunk.length : end
      this.#keep(chunk.toString('latin1', at, stop))
      if (end === -1) return
      this.#lineOctets++
      this.#endLine()
      at = stop + 1
    }
  }

  #keep(text: string): void {
    this.#lineOctets += text.length
    const room = MAX_HEAD_LENGTH - this.#head.length
    this.#head += text.slice(0, Math.max(0, room))
    if (text.length > room) this.#tail = (this.#tail + text.slice(Math.max(0, room))).slice(-MAX_TAIL_LENGTH)
  }

  #endLine(): void {
    const line = `${this.#head}${this.#tail}`.replace(/\r$/, '')
    const octets = this.#lineOctets
    this.#head = this.#tail = ''
    this.#lineOctets = 0
    const { text, literal, comesUnasked = false, isSecret = false } = this.#see(line, this.#isContinued)
    if (text === undefined) this.#count += octets
    this.#isContinued = literal !== undefined
    this.#comesUnasked = comesUnasked
    this.#isSecret = isSecret
    this.#literal = this.#literalLeft = literal ?? 0
  }

  /** The other side has refused it: the client sends its next command instead. */
  dropLiteral(): void {
    if (this.#comesUnasked || this.#literalLeft === 0 || this.#literalLeft < this.#literal) return
    this.#literalLeft = 0
    this.#isContinued = false
  }

  takeCount(): number {
    const count = this.#count
    this.#count = 0
    return count
  }
}

const UNREADABLE = 'the session cannot be read from here on, as it is compressed or ambiguous'

type Tapped = { readonly inner: SessionWatch }

class TappedObserver implements SessionObserver, Tapped {
  readonly mode = 'observe'
  readonly inner: SessionObserver
  readonly #tap: SessionTap

  constructor(inner: SessionObserver, tap: SessionTap) {
    this.inner = inner
    this.#tap = tap
  }

  fromClient(chunk: Buffer): boolean {
    if (this.#tap.follows(this.inner)) this.#tap.fromClient(chunk)
    return this.#goOn(this.inner.fromClient(chunk))
  }

  fromBackend(chunk: Buffer): boolean {
    if (this.#tap.follows(this.inner)) this.#tap.fromBackend(chunk)
    return this.#goOn(this.inner.fromBackend(chunk))
  }

  isIdle(): boolean {
    return this.inner.isIdle()
  }

  #goOn(isFollowed: boolean): boolean {
    if (!isFollowed) this.#tap.stop(UNREADABLE)
    return isFollowed
  }
}

class TappedGuard implements SessionGuard, Tapped {
  readonly mode = 'guard'
  readonly inner: SessionGuard
  readonly #tap: SessionTap

  constructor(inner: SessionGuard, tap: SessionTap) {
    this.inner = inner
    this.#tap = tap
  }

  get farewell(): string {
    return this.inner.farewell
  }

  /** What the guard holds back comes again. */
  fromClient(chunk: Buffer, pass: PassOn): ReturnType<SessionGuard['fromClient']> {
    const isFollowed = this.#tap.follows(this.inner)
    const passed = this.inner.fromClient(chunk, pass)
    if (isFollowed) this.#tap.fromClient(typeof passed === 'number' ? chunk.subarray(0, passed) : chunk)
    if (typeof passed !== 'number') this.#tap.stop('the guard ends the session at this command')
    return passed
  }

  fromBackend(chunk: Buffer, pass: PassOn): boolean {
    if (this.#tap.follows(this.inner)) this.#tap.fromBackend(chunk)
    const goesOn = this.inner.fromBackend(chunk, pass)
    if (!goesOn) this.#tap.stop('the guard ends the session, as the back end answers what was not asked')
    return goesOn
  }

  isIdle(): boolean {
    return this.inner.isIdle()
  }
}

/** @returns the same watch, with the tap beside it */
export function tapWatch(watch: SessionWatch, tap: SessionTap): SessionWatch {
  return watch.mode === 'guard' ? new TappedGuard(watch, tap) : new TappedObserver(watch, tap)
}

/** @returns the watch alone */
export function untapWatch(watch: SessionWatch): SessionWatch {
  return watch instanceof TappedObserver || watch instanceof TappedGuard ? watch.inner : watch
}
