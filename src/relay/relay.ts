/**
 * Carries bytes both ways between two sockets, with back-pressure and half-close, and says how it ended. The only room that joins
 * two sockets; it parses nothing and allocates nothing per chunk. Time comes from outside: one sweep looks after all relays.
 */
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { keepChunk } from '../net/lean-socket.ts'

export type RelayCause =
  | 'client-closed'
  | 'backend-closed'
  | 'client-reset'
  | 'backend-reset'
  | 'idle'
  | 'half-closed-too-long'
  | 'shutdown'
  | 'shutdown-deadline'
  | 'client-unauthenticate'

export type RelayEnding = { cause: RelayCause; bytesFromClient: number; bytesFromBackend: number }

export type RelayOptions = {
  idleMs: number
  /** sent to the client when the relay is ended while it is quiet; may be empty */
  goodbye: { shutdown: string; idle: string }
  /** what the dialogue read from each side and did not use; goes first */
  unreadFromClient: Buffer | undefined
  unreadFromBackend: Buffer | undefined
  /** says of what the client sends whether it may pass; a no ends the relay before a byte of it has gone on */
  guard: ((chunk: Buffer) => boolean) | undefined
  /** is told what was carried since it was last told, about once a second and at the end */
  account: (bytesFromClient: number, bytesFromBackend: number) => void
}

/** How long a side may stay silent once the other has closed its half: enough for a last answer, and no hiding place for a dead peer. */
const HALF_CLOSED_MS = 120_000

/** Silence after which a session that owes its client nothing counts as having nothing under way. */
const QUIET_MS = 2000

const LF = 10

export type Relays = {
  /** Owns both sockets from here on, and resolves when both are closed. */
  run(client: Socket, backend: Socket, options: RelayOptions): Promise<RelayEnding>
  /** Looks for relays that have been silent for too long; to be called about once a second. @param nowMs a monotonic clock */
  sweep(nowMs: number): void
  /** From now on each relay ends as soon as nothing is under way in it. Those that are quiet end at once. */
  drain(): void
  /** Ends what is left, whatever it is doing. */
  endAll(): void
}

export function createRelays(): Relays {
  const running = new Set<Relay>()
  let draining = false

  return {
    async run(client, backend, options) {
      const relay = new Relay(client, backend, options)
      running.add(relay)
      const ending = await relay.ended
      running.delete(relay)
      return ending
    },
    sweep(nowMs) {
      for (const relay of running) relay.sweep(nowMs, draining)
    },
    drain() {
      draining = true
      for (const relay of running) relay.endIfQuiet()
    },
    endAll() {
      for (const relay of running) relay.end('shutdown-deadline')
    },
  }
}

class Relay {
  readonly ended: Promise<RelayEnding>
  readonly #client: Socket
  readonly #backend: Socket
  readonly #idleMs: number
  readonly #goodbye: RelayOptions['goodbye']
  readonly #guard: RelayOptions['guard']
  readonly #account: RelayOptions['account']
  #resolve!: (ending: RelayEnding) => void
  #cause: RelayCause | undefined
  #bytesFromClient = 0
  #bytesFromBackend = 0
  /** the back end spoke last, and ended with a line: nobody waits for anybody, as far as can be seen from outside */
  #answered = true
  #sweptFromClient = 0
  #sweptFromBackend = 0
  #activeMs: number | undefined
  #silentMs = 0
  #halfClosed = false
  #open = 2

  constructor(client: Socket, backend: Socket, options: RelayOptions) {
    this.#client = client
    this.#backend = backend
    this.#idleMs = options.idleMs
    this.#goodbye = options.goodbye
    this.#guard = options.guard
    this.#account = options.account
    this.ended = new Promise((resolve) => (this.#resolve = resolve))

    this.#attach(client, backend, 'client')
    this.#attach(backend, client, 'backend')
    client.on('data', this.#onClientData)
    backend.on('data', this.#onBackendData)
    if (options.unreadFromBackend) this.#onBackendData(options.unreadFromBackend)
    if (options.unreadFromClient) this.#onClientData(options.unreadFromClient)
    // A side may have ended before it came here, and says so only once.
    if (client.readableEnded) this.#onEnd(backend, 'client')
    if (backend.readableEnded) this.#onEnd(client, 'backend')
    if (client.closed) this.#onClose(backend, 'client')
    if (backend.closed) this.#onClose(client, 'backend')
    // `write` may have asked for a pause already.
    if (!backend.writableNeedDrain) client.resume()
    if (!client.writableNeedDrain) backend.resume()
  }

  #attach(from: Socket, to: Socket, side: 'client' | 'backend'): void {
    from.on('end', () => this.#onEnd(to, side))
    from.on('error', () => (this.#cause ??= `${side}-reset`))
    from.on('close', () => this.#onClose(to, side))
    from.on('drain', () => to.resume())
  }

  readonly #onClientData = (chunk: Buffer): void => {
    if (this.#guard?.(chunk) === false) return this.end('client-unauthenticate')
    this.#bytesFromClient += chunk.length
    this.#answered = false
    if (!this.#backend.write(chunk)) this.#client.pause()
  }

  readonly #onBackendData = (chunk: Buffer): void => {
    this.#bytesFromBackend += chunk.length
    this.#answered = chunk[chunk.length - 1] === LF
    const client = this.#client
    const waited = client.writableLength > 0
    if (!client.write(chunk)) this.#backend.pause()
    // What could not be written at once lies in the chunk until it is; TLS has made something else of it by now.
    if (waited || (client.writableLength > 0 && !(client instanceof TLSSocket))) keepChunk(this.#backend)
  }

  /** RFC 9293 3.6: one side has said all that it will; the other may still be answering. */
  #onEnd(to: Socket, side: 'client' | 'backend'): void {
    this.#cause ??= `${side}-closed`
    this.#halfClosed = true
    if (!to.writable) return
    // Both have said all: to close says so too, without a system call of its own and another round through the event loop.
    if (to.readableEnded && to.writableLength === 0 && !(to instanceof TLSSocket)) to.destroy()
    else to.end()
  }

  #onClose(to: Socket, side: 'client' | 'backend'): void {
    this.#cause ??= `${side}-closed`
    this.#open--
    if (this.#open === 0) {
      this.#settleAccount()
      this.#resolve({
        cause: this.#cause,
        bytesFromClient: this.#bytesFromClient,
        bytesFromBackend: this.#bytesFromBackend,
      })
      return
    }
    this.#halfClosed = true
    if (to === this.#backend) {
      to.destroySoon() // nobody is left to read its answer, but what the client sent last (a QUIT) still counts
    } else {
      // What the back end said last is still on its way to the client; what the client still sends is for nobody.
      to.off('data', this.#onClientData)
      to.resume()
      if (to.writable) to.end()
    }
  }

  sweep(nowMs: number, draining: boolean): void {
    if (this.#settleAccount() || this.#activeMs === undefined) this.#activeMs = nowMs
    this.#silentMs = nowMs - this.#activeMs
    if (this.#halfClosed && this.#silentMs >= HALF_CLOSED_MS) this.end('half-closed-too-long')
    else if (this.#silentMs >= this.#idleMs) this.#takeLeave('idle')
    else if (draining) this.endIfQuiet()
  }

  endIfQuiet(): void {
    if (this.#halfClosed || !this.#answered || this.#settleAccount() || this.#silentMs < QUIET_MS) return
    this.#takeLeave('shutdown')
  }

  #takeLeave(why: 'shutdown' | 'idle'): void {
    this.#cause = why
    // The back end first: what it might say from now on would follow a BYE.
    this.#backend.destroy()
    // In the middle of something (a literal, a long answer) the client would take the words for a part of it.
    if (this.#answered) this.#client.end(this.#goodbye[why])
    this.#client.destroySoon()
  }

  /** @returns whether anything was carried since the last time */
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
    this.#cause = cause // it ends for this, whatever happened before
    this.#backend.destroy()
    this.#client.destroy()
  }
}
