/**
 * One relay: copies bytes both ways between two sockets, with back-pressure and half-close. It parses nothing and allocates nothing per
 * chunk. The protocol's watch knows when the session may end; `sweep` is called with the time. Over 250 lines: the events of both
 * sockets, the sweep and each kind of ending change the same private state.
 */
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { LAST_BYTES_MS } from '../net/closing.ts'
import { keepAlive } from '../net/keep-alive.ts'
import { OWN_READS, reuseReads, type ReadMemory, type Reads } from '../net/lean-socket.ts'
import { carry } from './carry.ts'
import { Gate } from './gate.ts'
import type { LeaveCause, RelayCause, RelayCounts, RelayEnding, RelayHandle, RelayOptions } from './options.ts'
import { LateEnd } from './late-end.ts'
import { HALF_CLOSED_MS, LAST_MAIL_MS, LastSide } from './last-side.ts'
import { Progress, REST_MS } from './progress.ts'

/** `byMs`: the deadline on the clock of the sweep; set by the first sweep after the request */
type Leaving = { why: LeaveCause; withinMs: number; byMs: number | undefined }

export class Relay implements RelayHandle {
  readonly ended: Promise<RelayEnding>
  readonly #client: Socket
  readonly #backend: Socket
  readonly #clientReads: Reads
  readonly #backendReads: Reads
  readonly #idleMs: number
  readonly #goodbye: RelayOptions['goodbye']
  /** only in a guarded session */
  readonly #gate: Gate | undefined
  readonly progress: Progress
  readonly #account: RelayOptions['account']
  readonly #spreadMs: number
  #resolve!: (ending: RelayEnding) => void
  #cause: RelayCause | undefined
  #bytesFromClient = 0
  #bytesFromBackend = 0
  #sweptFromClient = 0
  #sweptFromBackend = 0
  #activeMs: number | undefined
  #silentMs = 0
  #halfClosed = false
  #leaving: Leaving | undefined
  #isCut = false
  #lateEnd: LateEnd | undefined
  #last: LastSide | undefined
  #lastBytesMs = LAST_MAIL_MS

  constructor(client: Socket, backend: Socket, options: RelayOptions, memory: ReadMemory) {
    this.#client = client
    this.#backend = backend
    const { watch } = options
    // A gate pauses its client during each command. With reads of its own, Node notices the end of a paused client.
    this.#clientReads = watch?.mode === 'guard' ? OWN_READS : reuseReads(client, memory)
    this.#backendReads = reuseReads(backend, memory)
    this.#idleMs = options.idleMs
    this.#goodbye = options.goodbye
    if (watch?.mode === 'guard') {
      const toBackend = (piece: Buffer): void => this.#carryFromClient(piece)
      this.#gate = new Gate(watch, toBackend, (piece) => this.#carryFromBackend(piece))
    }
    this.progress = new Progress(watch?.mode === 'observe' ? watch : undefined, this.#gate)
    this.#account = options.account
    this.#spreadMs = options.spreadMs
    this.ended = new Promise((resolve) => (this.#resolve = resolve))

    client.on('data', this.#onClientData)
    client.on('end', () => this.#onEnd('client'))
    client.on('error', () => (this.#cause ??= 'client-reset'))
    client.on('close', () => this.#onClose('client'))
    client.on('drain', this.#onClientDrain)
    backend.on('data', this.#onBackendData)
    backend.on('end', () => this.#onEnd('backend'))
    backend.on('error', () => (this.#cause ??= 'backend-reset'))
    backend.on('close', () => this.#onClose('backend'))
    backend.on('drain', this.#onBackendDrain)
    if (options.unreadFromBackend) this.#onBackendData(options.unreadFromBackend)
    if (options.unreadFromClient) this.#onClientData(options.unreadFromClient)
    // A side may have ended before the relay began; its `end` event does not come again.
    if (client.readableEnded) this.#onEnd('client')
    if (backend.readableEnded) this.#onEnd('backend')
    if (client.closed) this.#onClose('client')
    if (backend.closed) this.#onClose('backend')
    // `write` may have asked for a pause already.
    if (!backend.writableNeedDrain) this.#onBackendDrain()
    if (!client.writableNeedDrain) backend.resume()
  }

  readonly #onClientDrain = (): void => {
    this.#backend.resume()
    this.#leaveIfSafe()
  }

  readonly #onBackendDrain = (): void => {
    if (!this.#gate?.holds) this.#client.resume()
  }

  readonly #onClientData = (chunk: Buffer): void => {
    const gate = this.#gate
    if (gate) this.#useGate(gate, 'client', chunk)
    else {
      this.progress.fromClient(chunk)
      this.#carryFromClient(chunk)
    }
  }

  readonly #onBackendData = (chunk: Buffer): void => {
    const gate = this.#gate
    if (gate) this.#useGate(gate, 'backend', chunk)
    else {
      this.progress.fromBackend(chunk)
      this.#carryFromBackend(chunk)
    }
    this.#leaveIfSafe()
  }

  #carryFromClient(chunk: Buffer): void {
    this.#bytesFromClient += chunk.length
    carry(chunk, this.#client, this.#backend, this.#clientReads)
  }

  #carryFromBackend(chunk: Buffer): void {
    this.#bytesFromBackend += chunk.length
    carry(chunk, this.#backend, this.#client, this.#backendReads)
  }

  #useGate(gate: Gate, from: 'client' | 'backend', chunk: Buffer): void {
    const held = gate.holds
    const cause = from === 'client' ? gate.fromClient(chunk) : gate.fromBackend(chunk)
    if (cause) this.#endWith(cause, gate.farewellFor(cause))
    else if (gate.holds) this.#client.pause()
    else if (held && this.#client.readableEnded) this.#onEnd('client')
    else if (held && !this.#backend.writableNeedDrain) this.#client.resume()
  }

  /** RFC 9293 3.6: one side has closed its half; the other may still send. */
  #onEnd(side: 'client' | 'backend'): void {
    const to = side === 'client' ? this.#backend : this.#client
    this.#cause ??= `${side}-closed`
    if (side === 'client') this.#lateEnd?.end()
    else if (this.#endsLater()) return
    this.#halfClosed = true
    if (side === 'client' && this.#gate?.holds) return // the held bytes are sent first
    if (!to.writable) return
    // If both halves are closed, closing the socket replaces the shutdown: it saves a system call and a turn of the event loop.
    if (to.readableEnded && to.writableLength === 0 && !(to instanceof TLSSocket)) to.destroy()
    else to.end()
  }

  #onClose(side: 'client' | 'backend'): void {
    const [from, to] = side === 'client' ? [this.#client, this.#backend] : [this.#backend, this.#client]
    const reads = side === 'client' ? this.#clientReads : this.#backendReads
    reads.release()
    this.#cause ??= `${side}-closed`
    if (side === 'client') this.#lateEnd?.end()
    else if (this.#endsLater()) return
    if (this.#last) {
      // `closed` becomes true before the event, so a side may be reported twice.
      if (from !== this.#last.socket) return
      this.#settleAccount()
      this.#resolve({ cause: this.#cause, ...this.counts, ...(this.#isCut && { cut: true }) })
      return
    }
    this.#halfClosed = true
    this.#last = new LastSide(to)
    if (to === this.#backend) {
      to.destroySoon() // its answer has no reader any more, but the last command of the client (a QUIT) must still arrive
    } else {
      // The last bytes of the back end are still being sent to the client; further bytes of the client are discarded.
      to.off('data', this.#onClientData)
      to.resume()
      to.end()
    }
  }

  /** If the back end has sent something in the last second (a BYE, the answer to LOGOUT), the session ends at once. */
  #endsLater(): boolean {
    if (this.#lateEnd) return true
    if (this.#halfClosed || this.#spreadMs === 0 || this.#silentMs < REST_MS || !this.isResting()) return false
    this.#halfClosed = true
    this.#client.off('data', this.#onClientData)
    this.#lateEnd = new LateEnd(this.#client, this.#spreadMs, () => {
      this.#lateEnd = undefined
      this.#onClose('backend')
    })
    this.#backend.destroy()
    return true
  }

  sweep(nowMs: number): void {
    if (this.#activeMs === undefined) keepAlive(this.#client, this.#backend)
    if (this.#settleAccount() || this.#activeMs === undefined) this.#activeMs = nowMs
    this.#silentMs = nowMs - this.#activeMs
    this.progress.rest(this.#silentMs)
    if (this.#last) this.#last.sweep(nowMs, this.#lastBytesMs)
    else if (this.#lateEnd) this.#lateEnd.sweep(nowMs)
    else if (this.#halfClosed && this.#silentMs >= HALF_CLOSED_MS) this.end('half-closed-too-long')
    else if (this.#silentMs >= this.#idleMs) this.#takeLeave('idle')
    else this.#leaveIfSafe()
    if (this.#leaving) this.#leaveInTime(this.#leaving, nowMs)
  }

  endWhenSafe(why: LeaveCause, withinMs = Infinity): void {
    this.#lateEnd?.end()
    const before = this.#leaving
    if (before && before.withinMs <= withinMs) before.why = why
    else this.#leaving = { why, withinMs, byMs: undefined }
    this.#leaveIfSafe()
    if (withinMs === 0) this.#leaveInTime({ why, withinMs, byMs: 0 }, 0)
  }

  /** Cuts a relay that has not reached a safe point in time. After a side has closed, the limits for half-closed relays apply instead. */
  #leaveInTime(leaving: Leaving, nowMs: number): void {
    leaving.byMs ??= nowMs + leaving.withinMs
    if (nowMs < leaving.byMs || this.#halfClosed) return
    this.#isCut = true
    this.end(leaving.why)
  }

  #leaveIfSafe(): void {
    if (this.#leaving === undefined || this.#halfClosed) return
    if (this.progress.isSafe(this.silentMs, this.#isFlushed())) this.#takeLeave(this.#leaving.why)
  }

  get silentMs(): number {
    // `#silentMs` does not include bytes that arrived after the last sweep.
    return this.#hasCarried() ? 0 : this.#silentMs
  }

  isResting(): boolean {
    return !this.#hasCarried() && this.progress.isSafe(this.#silentMs, this.#isFlushed())
  }

  /** Both sockets have empty read and write buffers. */
  #isFlushed(): boolean {
    const [client, backend] = [this.#client, this.#backend]
    const isWritten = client.writableLength === 0 && backend.writableLength === 0
    return isWritten && client.readableLength === 0 && backend.readableLength === 0
  }

  #takeLeave(why: LeaveCause): void {
    this.#endWith(why, this.progress.mayHearText ? this.#goodbye[why] : '')
  }

  /** @param text the last line to the client; may be empty */
  #endWith(cause: RelayCause, text: string): void {
    this.#cause = cause
    this.#halfClosed = true // prevents a second ending
    this.#lastBytesMs = LAST_BYTES_MS
    // The back end first: its further bytes would follow the last line.
    this.#backend.destroy()
    if (text !== '') this.#client.end(text)
    this.#client.destroySoon()
  }

  get counts(): RelayCounts {
    return { bytesFromClient: this.#bytesFromClient, bytesFromBackend: this.#bytesFromBackend }
  }

  #hasCarried(): boolean {
    return this.#bytesFromClient !== this.#sweptFromClient || this.#bytesFromBackend !== this.#sweptFromBackend
  }

  /** Reports the bytes since the last call. @returns whether there were any */
  #settleAccount(): boolean {
    const fromClient = this.#bytesFromClient - this.#sweptFromClient
    const fromBackend = this.#bytesFromBackend - this.#sweptFromBackend
    if (fromClient === 0 && fromBackend === 0) return false
    this.#account(fromClient, fromBackend)
    this.#sweptFromClient = this.#bytesFromClient
    this.#sweptFromBackend = this.#bytesFromBackend
    return true
  }

  end(cause: RelayCause): void {
    this.#cause = cause // replaces an earlier cause
    this.#halfClosed = true // prevents a second ending
    this.#backend.destroy()
    this.#client.destroy()
  }
}
