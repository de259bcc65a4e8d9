/**
 * Reads the commands of an IMAP client after login (RFC 9051 2.2.1, 4.3), and keeps the unanswered ones. It serves both modes of the watch. In an
 * observed session commands may be pipelined, and arguments are scanned only for their end. In a guarded one a command is read octet by octet,
 * and the next one only after its response. Literals are counted and not kept. Over 250 lines: it is one state machine over positions in a command.
 */
import type { PassOn } from '../watch.ts'
import { ArgumentReader, type Outcome } from './arguments.ts'
import type { ResponseEvents } from './responses.ts'
import { makesOpaque, UnansweredCommands, type Command } from './unanswered.ts'
import { findWordEnd, isDone, NAME_OCTETS, readUpperWord, readWord, TAG_OCTETS, upperCase } from './words.ts'

/** Cyrus takes tags of up to 1,023 octets; mail clients send four to eight. */
const MAX_TAG_BYTES = 1000
/** The longest command names of the RFCs have 15 letters. */
const MAX_NAME_BYTES = 64

const NUL = 0
const LF = 10
const CR = 13
const SPACE = 32

/** What the client's next octet belongs to. */
type Position =
  | 'tag'
  | 'name'
  | 'arguments'
  | 'literal'
  /** the line after IDLE */
  | 'done'
  /** a literal that the back end has not accepted yet, and in a guarded session a new command: the back end has to speak first */
  | 'nothing'

/** @returns whether a command may run; the name is in upper case */
export type MayRun = (name: string, tag: string) => boolean

export class CommandReader implements ResponseEvents {
  /** of a guarded session */
  readonly #mayRun: MayRun | undefined
  #position: Position = 'tag'
  #tag = ''
  #name = ''
  readonly #unanswered = new UnansweredCommands()
  /** the command that is being read, until it is answered or its last line has come */
  #current: Command | undefined
  /** the back end has refused a literal: the rest of the command is not for it */
  #dropping = false
  #literalLeft = 0
  /** a literal has been announced that the back end has to ask for; its size is in `#arguments` */
  #isAnnounced = false
  readonly #arguments = new ArgumentReader()
  #carriageReturn = false
  /** the line that is to end IDLE, in upper case */
  #done = ''

  /** @param mayRun guards the session: it is asked once for each command, before the end of the command's name is passed on */
  constructor(mayRun?: MayRun) {
    this.#mayRun = mayRun
  }

  /** No command is in progress but an IDLE that the back end has confirmed, and nothing has come of another. */
  isIdle(): boolean {
    if (this.isResting) return true
    return this.#position === 'done' && this.#done === '' && !this.#carriageReturn && this.#unanswered.isIdling
  }

  /** No command is in progress, IDLE included. */
  get isResting(): boolean {
    return this.#position === 'tag' && this.#tag === '' && !this.#carriageReturn && this.#unanswered.isEmpty
  }

  /** Adds a command that has been read elsewhere, and is none whose name counts. */
  addPlain(tag: string): void {
    this.#unanswered.add({ tag, name: '', continuation: 'none' })
  }

  /** Reads along from an index, in a session that is not guarded. @returns -1 at input of two meanings, or the octets that it lends (watch.ts) */
  observe(chunk: Buffer, from: number): number {
    for (let at = from; at < chunk.length;) {
      if (this.#position === 'literal') at = this.#skipLiteral(chunk, at)
      else if (this.#position === 'arguments') {
        at = this.#skimArguments(chunk, at)
        if (at === -1) return -1
      } else {
        at = this.#skimWord(chunk, at)
        if (at === chunk.length) break
        // What comes before the continuation may be a literal or a command, as the back end decides.
        if (this.#position === 'nothing' || this.#take(chunk[at++] ?? NUL) !== 'pass') return -1
      }
    }
    const lent = Math.max(0, this.#literalLeft - 1)
    this.#literalLeft -= lent
    return lent
  }

  /** Passes on what may go on, in a guarded session. @returns as `SessionGuard.fromClient` */
  passOn(chunk: Buffer, pass: PassOn): number | 'forbidden' | 'ambiguous' {
    let from = 0
    let at = 0
    const leaveOut = (end: number): void => {
      if (at > from) pass(chunk.subarray(from, at))
      from = end
    }
    while (at < chunk.length && this.#position !== 'nothing') {
      const isLeftOut = this.#dropping
      if (this.#position === 'literal') {
        const end = this.#skipLiteral(chunk, at)
        if (isLeftOut) leaveOut(end)
        at = end
        continue
      }
      const verdict = this.#take(chunk[at] ?? NUL)
      if (verdict === 'forbidden' || verdict === 'ambiguous') return verdict
      if (isLeftOut || verdict === 'drop') leaveOut(at + 1)
      at++
    }
    leaveOut(at)
    return at
  }

  #beginCommand(): void {
    this.#position = 'tag'
    this.#tag = this.#name = ''
    this.#current = undefined
    this.#isAnnounced = this.#dropping = false
  }

  #beginArguments(): void {
    this.#position = 'arguments'
    this.#arguments.begin()
  }

  #beginLiteral(bytes: number): void {
    this.#isAnnounced = false
    this.#literalLeft = bytes
    if (bytes === 0) this.#beginArguments()
    else this.#position = 'literal'
  }

  /** @returns where the rest of the chunk begins */
  #skipLiteral(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#literalLeft)
    this.#literalLeft -= end - at
    if (this.#literalLeft === 0) this.#beginArguments()
    return end
  }

  /** Takes the letters of a tag or a name, which need no decision. @returns where the rest of the chunk begins */
  #skimWord(chunk: Buffer, from: number): number {
    if (this.#carriageReturn) return from
    if (this.#position === 'tag') {
      const end = findWordEnd(chunk, from, TAG_OCTETS, MAX_TAG_BYTES - this.#tag.length)
      this.#tag += readWord(chunk, from, end)
      return end
    }
    if (this.#position !== 'name') return from
    const end = findWordEnd(chunk, from, NAME_OCTETS, MAX_NAME_BYTES - this.#name.length)
    this.#name += readUpperWord(chunk, from, end)
    return end
  }

  /** @returns where the next line begins, or -1 at input of two meanings */
  #skimArguments(chunk: Buffer, at: number): number {
    const end = this.#arguments.skim(chunk, at)
    if (end === -1) return chunk.length
    this.#carriageReturn = false
    return this.#endLine() === 'pass' ? end + 1 : -1
  }

  #take(octet: number): Outcome {
    // A bare CR ends a line for some servers, and a NUL for others.
    if (octet === NUL || (this.#carriageReturn && octet !== LF)) return 'ambiguous'
    this.#carriageReturn = octet === CR
    if (this.#position === 'tag') return this.#takeTag(octet)
    if (this.#position === 'name') return this.#takeName(octet)
    if (this.#position === 'done') return this.#takeDone(octet)
    if (octet === CR) return 'pass'
    return octet === LF ? this.#endLine() : this.#arguments.take(octet)
  }

  #takeTag(octet: number): Outcome {
    if (octet === CR) return 'pass'
    if (octet === LF) {
      // An empty line is no command.
      if (this.#tag !== '' && !isDone(this.#tag)) return 'ambiguous'
      this.#tag = ''
      return 'pass'
    }
    if (octet === SPACE && this.#tag !== '' && !isDone(this.#tag)) {
      this.#position = 'name'
      return 'pass'
    }
    this.#tag += String.fromCharCode(octet)
    return this.#tag.length <= MAX_TAG_BYTES && TAG_OCTETS[octet] === true ? 'pass' : 'ambiguous'
  }

  #takeName(octet: number): Outcome {
    if (octet === SPACE && this.#name === '') return 'pass'
    if (octet !== SPACE && octet !== CR && octet !== LF) {
      this.#name += upperCase(octet)
      return this.#name.length <= MAX_NAME_BYTES && NAME_OCTETS[octet] === true ? 'pass' : 'ambiguous'
    }
    if (this.#name === '') return 'ambiguous'
    if (this.#mayRun?.(this.#name, this.#tag) === false) return 'forbidden'
    this.#current = { tag: this.#tag, name: this.#name, continuation: 'none' }
    if (!this.#unanswered.add(this.#current)) return 'ambiguous'
    this.#beginArguments()
    return octet === LF ? this.#endLine() : 'pass'
  }

  #endLine(): Outcome {
    const literal = this.#arguments.end()
    if (literal === 'none') return this.#endCommand()
    // A back end that overlooks what follows IDLE would take the continuation for its own.
    if (literal === 'ambiguous' || this.#name === 'IDLE') return 'ambiguous'
    // RFC 7888 4: the octets of a non-synchronising literal follow whatever is answered.
    const follows = !this.#arguments.isSynchronising && (!this.#current || !this.#mayRun)
    if (follows) {
      this.#dropping = !this.#current
      this.#beginLiteral(this.#arguments.bytes)
    } else if (!this.#current) return this.#endCommand()
    else {
      this.#isAnnounced = true
      this.#position = 'nothing'
    }
    return 'pass'
  }

  #endCommand(): Outcome {
    const isIdle = this.#current?.name === 'IDLE'
    if (this.#current && isIdle) this.#current.continuation = 'owed'
    if (!this.#current || (!this.#mayRun && !isIdle)) this.#beginCommand()
    else if (this.#mayRun) this.#position = 'nothing'
    else this.#beginDone()
    return 'pass'
  }

  #beginDone(): void {
    this.#position = 'done'
    this.#done = ''
  }

  /** RFC 2177: the client ends IDLE with DONE, and sends nothing else before that. */
  #takeDone(octet: number): Outcome {
    if (octet === CR) return 'pass'
    if (octet === LF) {
      if (this.#done !== 'DONE') return 'ambiguous'
      if (this.#mayRun) this.#position = 'nothing'
      else this.#beginCommand()
      return 'pass'
    }
    this.#done += String.fromCharCode(octet).toUpperCase()
    return 'DONE'.startsWith(this.#done) ? 'pass' : 'ambiguous'
  }

  /** @returns whether the back end was expected to ask for something */
  onContinuation(): boolean {
    if (this.#unanswered.confirmIdle()) {
      if (this.#mayRun) this.#beginDone()
      return true
    }
    if (!this.#isAnnounced) return false
    this.#beginLiteral(this.#arguments.bytes)
    return true
  }

  /** @returns whether the answer is to a command that was passed on, and the session can be followed behind it */
  onTagged(tag: string, status: string): boolean {
    const command = this.#unanswered.take(tag)
    if (!command) return isDone(tag) // to a DONE that came too late
    if (status === 'OK' && makesOpaque(command.name)) return false
    if (command !== this.#current) return true
    this.#current = undefined
    if (this.#position === 'done') {
      this.#beginCommand()
      this.#tag = this.#done
    } else if (this.swallows()) {
      this.#dropping = true
      this.#beginLiteral(this.#arguments.bytes)
    } else if (this.#position === 'nothing') this.#beginCommand()
    return true
  }

  soleTag(): string | undefined {
    return this.#isAnnounced || this.#mayRun ? undefined : this.#unanswered.soleTag
  }

  onUntaggedBad(): boolean {
    return this.#mayRun !== undefined || this.#unanswered.isEmpty
  }

  onGarbage(): boolean {
    return this.#mayRun !== undefined
  }

  /** The client has announced its literal without a wish to be asked for it, and the guard has asked for it. */
  swallows(): boolean {
    return this.#isAnnounced && !this.#arguments.isSynchronising
  }
}
