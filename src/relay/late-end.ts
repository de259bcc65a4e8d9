/**
 * The delayed end of a resting client whose back end has closed the connection. A store that fails closes all of its sessions at once: the
 * clients are closed at random moments, so that they do not all reconnect at once.
 */
import type { Socket } from 'node:net'

export class LateEnd {
  readonly #client: Socket
  readonly #withinMs: number
  readonly #over: () => void
  #byMs: number | undefined

  /** @param over called once, at the client's random moment or as soon as the client sends something */
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
