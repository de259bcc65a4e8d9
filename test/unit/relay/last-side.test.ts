/** When the last open side of a relay is destroyed: after a time in which it has read nothing, by whether octets wait for it. */
import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { test } from 'node:test'
import { LAST_BYTES_MS } from '../../../src/net/closing.ts'
import { LAST_MAIL_MS, LastSide } from '../../../src/relay/last-side.ts'
import { LateEnd } from '../../../src/relay/late-end.ts'

/** Each sweep, and how many octets wait then. @returns the time of the sweep that destroyed the side */
function sweep(
  sweeps: readonly (readonly [atMs: number, waiting: number])[],
  mostMs = LAST_MAIL_MS,
): number | undefined {
  const socket = new Socket()
  let waits = 0
  Object.defineProperty(socket, 'writableLength', { get: () => waits })
  const side = new LastSide(socket)
  assert.equal(side.socket, socket)
  for (const [atMs, waiting] of sweeps) {
    waits = waiting
    side.sweep(atMs, mostMs)
    if (socket.destroyed) return atMs
  }
  return undefined
}

const START = 100_000

for (const [what, sweeps, destroyedAt] of [
  [
    'a side that has everything only has to close',
    [
      [0, 0],
      [LAST_BYTES_MS - 1, 0],
      [LAST_BYTES_MS, 0],
    ],
    LAST_BYTES_MS,
  ],
  [
    'a side that reads nothing has the time for mail',
    [
      [0, 9],
      [LAST_BYTES_MS, 9],
      [LAST_MAIL_MS - 1, 9],
      [LAST_MAIL_MS, 9],
    ],
    LAST_MAIL_MS,
  ],
  [
    'a side that reads has the time again',
    [
      [0, 9],
      [20_000, 8],
      [40_000, 8],
      [49_999, 8],
      [50_000, 8],
    ],
    50_000,
  ],
  [
    'more octets are no progress',
    [
      [0, 9],
      [20_000, 10],
      [LAST_MAIL_MS, 10],
    ],
    LAST_MAIL_MS,
  ],
  [
    'the end of the octets is progress',
    [
      [0, 1],
      [29_000, 0],
      [29_000 + LAST_BYTES_MS - 1, 0],
      [29_000 + LAST_BYTES_MS, 0],
    ],
    29_000 + LAST_BYTES_MS,
  ],
  ['the first sweep only begins the time', [[START, 9]], undefined],
  ['the first sweep only begins the time to close', [[START, 0]], undefined],
] as const)
  test(what, () => assert.equal(sweep(sweeps), destroyedAt))

test('the limit while octets wait is given with each sweep', () => {
  assert.equal(LAST_MAIL_MS, 30_000)
  assert.equal(
    sweep(
      [
        [0, 9],
        [9_999, 9],
        [10_000, 9],
      ],
      10_000,
    ),
    10_000,
  )
})

test('a late end comes at its moment of the window, counted from the first sweep, and once', (t) => {
  t.mock.method(Math, 'random', () => 0.25)
  const client = new Socket()
  let ends = 0
  const late = new LateEnd(client, 8000, () => ends++)
  assert.equal(client.listenerCount('data'), 1)
  late.sweep(START)
  late.sweep(START + 1999)
  assert.equal(ends, 0)
  late.sweep(START + 2000)
  assert.deepEqual([ends, client.listenerCount('data')], [1, 0])
})

test('a late end comes as soon as the client sends something', () => {
  const client = new Socket()
  let ends = 0
  const late = new LateEnd(client, 8000, () => ends++)
  client.emit('data', Buffer.from('x'))
  client.emit('data', Buffer.from('y'))
  assert.equal(ends, 1)
  late.end()
  assert.equal(client.listenerCount('data'), 0)
})
