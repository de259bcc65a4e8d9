/**
 * The end of a client at rest whose back end has hung up. A store that fails ends all of its sessions in one moment: the clients are told
 * at random moments, so that not all of them come back in one wave.
 */
import type { Socket } from 'node:net'

export class LateEnd {
  readonly #client: Socket
  readonly #withinMs: number
  readonly #over: () => void
  #byMs: number | undefined

  /** @param over called once, at the moment of the client or as soon as it sends something */
  constructor(client: Socket, spreadMs: number, over: () => void) {
    this.#client = client
    this.#withinMs = spreadMs * Math.random()
    this.#over = over
    client.on('data', this.end)
  }

  sweep(nowMs: number): void {
    this.#byMs ??= nowMs + this.#withinMs
    if (nowMs >= this.#byMs) this.end()
  }

  readonly end = (): void => {
    this.#client.off('data', this.end)
    this.#over()
  }
}
