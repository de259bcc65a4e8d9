/**
 * What is traced of one session. It exists only while a trace is in force. Until its user is known a session keeps its first lines, so that
 * a trace of a user shows the whole of the login.
 */
import { toEpochMs } from '../clock.ts'
import { hideSecrets } from '../login/repeated-secret.ts'
import type { BackendWire } from '../login/login.ts'
import { octetsToPrintable } from '../printable.ts'
import type { BackendLogin, ClientWire } from '../protocol/protocol.ts'
import { protocols } from '../protocol/protocols.ts'
import type { ProtocolName } from '../protocol/registry.ts'
import type { SessionWatch } from '../protocol/watch.ts'
import { MAX_TEXT_LENGTH, type ArmedTrace, type Traced } from './armed.ts'
import type { Leg, TraceLine } from './line.ts'
import { SessionTap, tapWatch, untapWatch } from './session-tap.ts'
import { TracedBackendWire, TracedClientWire } from './wires.ts'

/** A login with TLS, capabilities and a relayed mechanism has some 30 lines on both legs. */
const MAX_HISTORY = 60
/** Wrong passwords on one connection are limited to a few. */
const MAX_SECRETS = 8

/** The traces in force, and what all sessions together keep. */
export type TraceBook = {
  readonly armed: ReadonlyMap<string, ArmedTrace>
  /** @returns whether there is room for so many characters more */
  reserve(length: number): boolean
  release(length: number): void
}

type Known = Pick<BackendLogin, 'user' | 'credentials'>

/** What a relay has for it. */
type Relay = { readonly progress: { changeWatch(change: (watch: SessionWatch) => SessionWatch): boolean } }

export type TracedSession = Traced & {
  readonly listener: { readonly name: string; readonly protocol: ProtocolName }
  readonly relay: Relay | undefined
  trace: SessionTrace | undefined
}

export class SessionTrace {
  readonly #session: TracedSession
  readonly #book: TraceBook
  readonly #told = new Set<ArmedTrace>()
  #history: TraceLine[] | undefined = []
  #historyLength = 0
  #lost = 0
  #secrets: Known[] = []
  #tap: SessionTap | undefined

  constructor(session: TracedSession, book: TraceBook) {
    this.#session = session
    this.#book = book
  }

  /** A trace is in force. */
  get isActive(): boolean {
    return this.#book.armed.size > 0
  }

  clientWire(wire: ClientWire): ClientWire {
    return new TracedClientWire(wire, this)
  }

  backendWire(wire: BackendWire): BackendWire {
    return new TracedBackendWire(wire, this)
  }

  /** What a back end repeats of this login is hidden from now on. */
  hide(login: Known): void {
    this.#secrets.push(login)
    if (this.#secrets.length > MAX_SECRETS) this.#secrets.shift()
  }

  /** The session relays from now on. @returns the watch that it is to have */
  watch(watch: SessionWatch | undefined): SessionWatch | undefined {
    const isWanted = this.#matching().length > 0
    this.#dropHistory()
    if (!isWanted || !watch) {
      this.#secrets = []
      return watch
    }
    return tapWatch(watch, this.#openTap())
  }

  /** The session relays already. */
  follow({ progress }: Relay): void {
    this.#dropHistory()
    if (this.#tap || this.#matching().length === 0) return
    if (!progress.changeWatch((watch) => tapWatch(watch, this.#openTap())))
      this.note('the session has changed its encoding, and cannot be read any more')
  }

  /** The session is at its end. */
  tellCounts(): void {
    this.#tap?.tellCounts()
  }

  /** The session has ended, and its last line is told. What it has kept makes room for others. */
  close(): void {
    this.#dropHistory()
    this.#secrets = []
  }

  /** No trace is in force any more. */
  end(): void {
    this.close()
    if (this.#tap) this.#session.relay?.progress.changeWatch(untapWatch)
    this.#tap = undefined
  }

  /** @param octets text that holds no secret of the session but what a back end may repeat */
  line(leg: Leg, octets: string): void {
    if (!this.isActive) return
    const shown = this.#secrets.reduce((text, login) => hideSecrets(text, login), octets)
    this.#push(leg, octetsToPrintable(shown, MAX_TEXT_LENGTH))
  }

  /** What mailmux does. */
  note(text: string): void {
    if (this.isActive) this.#push('note', octetsToPrintable(text, MAX_TEXT_LENGTH))
  }

  #openTap(): SessionTap {
    const view = protocols[this.#session.listener.protocol].openView()
    return (this.#tap = new SessionTap(view, this))
  }

  #push(leg: Leg, text: string): void {
    const nowMs = performance.now()
    const line = { atMs: toEpochMs(nowMs), session: this.#session.id, leg, text }
    for (const armed of this.#matching()) armed.push(line, nowMs)
    this.#keep(line)
  }

  /** The traces that the session belongs to, each with what was before. A session stays in a trace that it has been in. */
  #matching(): ArmedTrace[] {
    const matching: ArmedTrace[] = []
    for (const armed of this.#book.armed.values()) {
      if (this.#told.has(armed)) matching.push(armed)
      else if (armed.matches(this.#session)) {
        this.#told.add(armed)
        for (const line of this.#history ?? []) armed.push(line, performance.now())
        armed.noteDropped(this.#lost)
        matching.push(armed)
      }
    }
    return matching
  }

  #keep(line: TraceLine): void {
    if (!this.#history || !this.#mayMatchLater()) return
    if (this.#history.length >= MAX_HISTORY || !this.#book.reserve(line.text.length)) {
      this.#lost++
      return
    }
    this.#history.push(line)
    this.#historyLength += line.text.length
  }

  #mayMatchLater(): boolean {
    for (const armed of this.#book.armed.values())
      if (armed.wantsUser && !this.#told.has(armed) && armed.mayMatch(this.#session)) return true
    return false
  }

  #dropHistory(): void {
    this.#book.release(this.#historyLength)
    this.#historyLength = 0
    this.#history = undefined
  }
}
