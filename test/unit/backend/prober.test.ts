import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Address } from '../../../src/backend/addresses.ts'
import type { Backend, Backends } from '../../../src/backend/backends.ts'
import { createCapabilityBook, type CapabilityBook } from '../../../src/backend/capabilities.ts'
import { createLiveBackends } from '../../../src/backend/live-backends.ts'
import { startProber, type Prober } from '../../../src/backend/prober.ts'
import type { ProtocolName } from '../../../src/config/settings.ts'
import { MuxError } from '../../../src/errors.ts'
import { backendsOf, keepLog, type LogLine } from './fixture.ts'

type Ask = (backend: Backend, address: Address, protocol: ProtocolName, signal: AbortSignal) => Promise<string[]>

function probing(
  t: TestContext,
  backends: () => Backends,
  ask: Ask,
): { prober: Prober; book: CapabilityBook; lines: LogLine[] } {
  const { log, lines } = keepLog()
  const book = createCapabilityBook(log)
  const live = createLiveBackends({ log, metrics: { backendIsUp: () => undefined } })
  const prober = startProber(backends, live, ask, book, log)
  t.after(() => prober.stop())
  return { prober, book, lines }
}

test('asks each back end for each protocol that it serves, and notes the answers', async (t) => {
  const asked: string[] = []
  const backends = backendsOf({ name: 'a' }, { name: 'b', ports: { imap: 993 } }, { name: 'c', ports: {} })
  const { prober, book, lines } = probing(
    t,
    () => backends,
    ({ settings }, _address, protocol) => {
      asked.push(`${settings.name} ${protocol}`)
      return Promise.resolve([`FROM-${settings.name}`, 'BOTH'])
    },
  )
  await prober.probeAll()
  assert.deepEqual(asked, ['a imap', 'a pop3', 'b imap'])
  assert.deepEqual(book.common('imap', ['a', 'b']), ['BOTH'])
  assert.deepEqual(book.common('pop3', ['a']), ['FROM-a', 'BOTH'])
  assert.deepEqual(lines, [])
})

test('logs a back end that does not answer, and goes on with the others', async (t) => {
  const backends = backendsOf({ name: 'down', ports: { imap: 1 } }, { name: 'up', ports: { imap: 1 } })
  const { prober, book, lines } = probing(
    t,
    () => backends,
    ({ settings }) =>
      settings.name === 'down'
        ? Promise.reject(new MuxError('backend-refused', 'nobody there'))
        : Promise.resolve(['IDLE']),
  )
  await prober.probeAll()
  assert.deepEqual(book.common('imap', ['down', 'up']), ['IDLE'])
  assert.deepEqual(lines, [
    {
      level: 'warn',
      message: 'back end does not tell its capabilities',
      backend: 'down',
      protocol: 'imap',
      code: 'backend-refused',
      detail: 'nobody there',
    },
  ])
})

test('takes what is thrown by mistake for a failure of that back end alone', async (t) => {
  const backends = backendsOf({ name: 'odd', ports: { imap: 1 } }, { name: 'up', ports: { imap: 1 } })
  const { prober, book, lines } = probing(
    t,
    () => backends,
    ({ settings }) => {
      if (settings.name === 'odd') throw new TypeError('a defect')
      return Promise.resolve(['IDLE'])
    },
  )
  await prober.probeAll()
  assert.deepEqual(book.common('imap', ['odd', 'up']), ['IDLE'])
  assert.deepEqual(
    lines.map(({ code }) => code),
    ['internal'],
  )
})

test('keeps what a back end said before it went down', async (t) => {
  const backends = backendsOf({ name: 'a', ports: { imap: 1 } })
  let isUp = true
  const { prober, book } = probing(
    t,
    () => backends,
    () => (isUp ? Promise.resolve(['IDLE']) : Promise.reject(new MuxError('backend-closed', 'gone'))),
  )
  await prober.probeAll()
  isUp = false
  await prober.probeAll()
  assert.deepEqual(book.common('imap', ['a']), ['IDLE'])
})

test('asks with a signal that ends the question', { timeout: 10_000 }, async (t) => {
  const backends = backendsOf({ name: 'slow', ports: { imap: 1 } }, { name: 'quick', ports: { imap: 1 } })
  const deadlines: number[] = []
  t.mock.method(AbortSignal, 'timeout', (ms: number) => {
    deadlines.push(ms)
    return AbortSignal.abort(new DOMException('too late', 'TimeoutError'))
  })
  const { prober, book, lines } = probing(
    t,
    () => backends,
    ({ settings }, _address, _protocol, signal) =>
      settings.name === 'quick'
        ? Promise.resolve(['IDLE'])
        : new Promise((_, reject) => {
            if (signal.aborted) reject(signal.reason as Error)
          }),
  )
  await prober.probeAll()
  assert.deepEqual(deadlines, [5000, 5000])
  assert.deepEqual(book.common('imap', ['slow', 'quick']), ['IDLE'])
  assert.deepEqual(
    lines.map(({ backend, detail }) => [backend, detail]),
    [['slow', 'too late']],
  )
})

test('asks again every five minutes, of the back ends that there are then, until it is stopped', (t) => {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let backends = backendsOf({ name: 'a', ports: { imap: 1 } })
  const asked: string[] = []
  const { prober } = probing(
    t,
    () => backends,
    ({ settings }) => {
      asked.push(settings.name)
      return Promise.resolve([])
    },
  )
  t.mock.timers.tick(299_999)
  assert.deepEqual(asked, [])
  t.mock.timers.tick(1)
  assert.deepEqual(asked, ['a'])
  backends = backendsOf({ name: 'b', ports: { imap: 1 } })
  t.mock.timers.tick(300_000)
  assert.deepEqual(asked, ['a', 'b'])
  prober.stop()
  t.mock.timers.tick(900_000)
  assert.deepEqual(asked, ['a', 'b'])
})
