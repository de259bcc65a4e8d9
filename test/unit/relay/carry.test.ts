/**
 * Which chunks keep their memory: those that wait to be written. The memory of all others is read into again, and a chunk that is kept
 * without need costs a new piece of memory for each read.
 */
import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { TLSSocket } from 'node:tls'
import { carry } from '../../../src/relay/carry.ts'

/** A socket without a connection that tells how much waits in it, before and after a write. */
function socketWith(kind: 'clear' | 'TLS', before: number, after: number, hasRoom: boolean): Socket {
  const socket = kind === 'TLS' ? new TLSSocket(new Socket()) : new Socket()
  let waiting = before
  Object.defineProperty(socket, 'writableLength', { get: () => waiting })
  socket.write = (): boolean => {
    waiting = after
    return hasRoom
  }
  return socket
}

function play(t: TestContext, to: Socket) {
  const from = new Socket()
  const keep = t.mock.fn()
  const pause = t.mock.method(from, 'pause', () => from)
  carry(Buffer.from('chunk'), from, to, { keep, release: () => undefined })
  from.destroy()
  to.destroy()
  return { isKept: keep.mock.callCount() === 1, isPaused: pause.mock.callCount() === 1 }
}

for (const [what, kind, before, after, isKept] of [
  ['is written at once', 'clear', 0, 0, false],
  ['is written at once by TLS', 'TLS', 0, 0, false],
  ['waits', 'clear', 0, 5, true],
  ['waits behind others', 'clear', 3, 8, true],
  ['waits behind others for TLS', 'TLS', 3, 8, true],
  // TLS has encrypted it, into memory of its own.
  ['waits in TLS', 'TLS', 0, 30, false],
] as const)
  test(`${isKept ? 'keeps' : 'does not keep'} a chunk that ${what}`, (t) => {
    assert.deepEqual(play(t, socketWith(kind, before, after, true)), { isKept, isPaused: false })
  })

test('reads no further while the other side has no room', (t) => {
  assert.deepEqual(play(t, socketWith('clear', 0, 70_000, false)), { isKept: true, isPaused: true })
})
