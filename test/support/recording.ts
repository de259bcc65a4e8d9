/** A session with a real server, recorded octet by octet in the order in which both sides sent it, to be shown to a watch. */
import assert from 'node:assert/strict'
import { connect, type Socket } from 'node:net'
import type { SessionObserver } from '../../src/protocol/watch.ts'
import { READ_DEADLINE_MS, until } from './deadline.ts'
import type { Scene } from './scene.ts'
import { atRandom, BYTE_BY_BYTE, WHOLE } from './splits.ts'
import { show } from './watched.ts'

export class Recording {
  /** all that each side sent since `start()`, as latin1 */
  client = ''
  backend = ''
  readonly #events: { side: 'client' | 'backend'; octets: string }[] = []
  readonly #socket: Socket

  constructor(scene: Scene, port: number) {
    this.#socket = connect(port, '127.0.0.1')
    scene.closeLater(() => this.close())
    this.#socket.on('error', () => undefined) // what waits for the server then fails by its deadline
    this.#socket.on('data', (chunk) => this.#add('backend', chunk.toString('latin1')))
  }

  /** The session begins here: the login before it is not recorded. */
  start(): void {
    this.client = this.backend = ''
    this.#events.length = 0
  }

  send(octets: string): void {
    this.#add('client', octets)
    this.#socket.write(octets, 'latin1')
  }

  /** @param from where in what the server has sent to look. @returns the match, once it is there */
  async find(pattern: RegExp, from = 0): Promise<RegExpExecArray> {
    const found = (): RegExpExecArray | undefined => pattern.exec(this.backend.slice(from)) ?? undefined
    return until(
      READ_DEADLINE_MS,
      () => Promise.resolve(found()),
      () => `no ${String(pattern)} in ${this.backend}`,
    )
  }

  close(): void {
    this.#socket.destroy()
  }

  #add(side: 'client' | 'backend', octets: string): void {
    this[side] += octets
    this.#events.push({ side, octets })
  }

  /**
   * Shows the session to a watch at every cut.
   * @param isIdle what is true where so many octets of either side have come
   */
  check(create: () => SessionObserver, isIdle: (client: number, backend: number) => boolean): void {
    for (const cut of [BYTE_BY_BYTE, WHOLE, atRandom(1), atRandom(2)]) {
      const watch = create()
      const at = { client: 0, backend: 0 }
      for (const { side, octets } of this.#events)
        for (const piece of cut.split(octets)) {
          assert.ok(show(watch, side, piece), `${this.#at(at)}: not followed at ${JSON.stringify(piece)}`)
          at[side] += piece.length
          const expected = isIdle(at.client, at.backend)
          if (watch.isIdle() !== expected) assert.fail(`cut ${cut.name}, ${this.#at(at)}: idle should be ${expected}`)
        }
    }
  }

  #at({ client, backend }: { client: number; backend: number }): string {
    const [sent, said] = [this.client.slice(0, client), this.backend.slice(0, backend)]
    return `behind\n--- client: ${JSON.stringify(sent.slice(-400))}\n--- server: ${JSON.stringify(said.slice(-400))}\n`
  }
}
