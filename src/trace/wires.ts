/** The two sides of a login as a trace sees them. What the protocol has no way to show is hidden. */
import type { BackendWire, Detached } from '../login/login.ts'
import type { MuxError } from '../errors.ts'
import type { Octets } from '../octets.ts'
import type { ClientWire, LineLimit, Wire } from '../protocol/protocol.ts'
import { HIDDEN, type Show } from '../protocol/shown.ts'
import type { Leg } from './line.ts'

/** Takes the lines. */
export type Sink = {
  readonly isActive: boolean
  line(leg: Leg, octets: string): void
  note(text: string): void
}

/** Exported for its test. */
export class TracedWire<W extends Wire> implements Wire {
  protected readonly wire: W
  protected readonly sink: Sink
  readonly #from: Leg
  readonly #to: Leg

  constructor(wire: W, sink: Sink, from: Leg, to: Leg) {
    this.wire = wire
    this.sink = sink
    this.#from = from
    this.#to = to
  }

  get secure(): boolean {
    return this.wire.secure
  }

  async readLine(limit: LineLimit, show?: Show): Promise<Octets> {
    const line = await this.wire.readLine(limit, show)
    this.#tell(this.#from, line, show)
    return line
  }

  async readBytes(count: number): Promise<Octets> {
    const octets = await this.wire.readBytes(count)
    this.#tell(this.#from, octets, undefined)
    return octets
  }

  write(text: string, show?: Show): void {
    this.#tell(this.#to, text, show)
    this.wire.write(text, show)
  }

  /** In the same turn, as the wire wants it. */
  startTls(): Promise<void> {
    const started = this.wire.startTls()
    return started.then(() => this.sink.note(`TLS with the ${this.#from === 'from-client' ? 'client' : 'back end'}`))
  }

  #tell(leg: Leg, octets: string, show: Show | undefined): void {
    if (this.sink.isActive) this.sink.line(leg, show ? show(octets) : HIDDEN)
  }
}

export class TracedClientWire extends TracedWire<ClientWire> implements ClientWire {
  constructor(wire: ClientWire, sink: Sink) {
    super(wire, sink, 'from-client', 'to-client')
  }

  get certifiedUser(): Octets | undefined {
    return this.wire.certifiedUser
  }
}

export class TracedBackendWire extends TracedWire<BackendWire> implements BackendWire {
  constructor(wire: BackendWire, sink: Sink) {
    super(wire, sink, 'from-backend', 'to-backend')
  }

  get connected(): boolean {
    return this.wire.connected
  }

  get heard(): number {
    return this.wire.heard
  }

  open(): Promise<void> {
    return this.wire.open()
  }

  fail(error: MuxError): void {
    this.wire.fail(error)
  }

  detach(): Detached {
    return this.wire.detach()
  }

  close(): void {
    this.wire.close()
  }
}
