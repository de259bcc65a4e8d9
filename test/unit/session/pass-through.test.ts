/** Which connections are carried unopened. */
import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { test } from 'node:test'
import type { Backend, Backends } from '../../../src/backend/backends.ts'
import { dialAny, findPassThrough } from '../../../src/session/pass-through.ts'
import { SessionEvents } from '../../../src/session/events.ts'
import type { LoginServices } from '../../../src/login/login.ts'
import { READ_DEADLINE_MS, within } from '../../support/deadline.ts'

const STORE = { settings: { name: 'store1' } } as Backend
const backends: Backends = new Map([['store1', STORE]])
const passthrough = new Map([
  ['store.test', 'store1'],
  ['removed.test', 'store2'],
])

const find = (serverName: string | undefined) =>
  findPassThrough({
    phase: 'login',
    connection: { peekServerName: () => Promise.resolve(serverName) },
    context: { passthrough },
    world: { backends },
  })

test('a server name with a rule leads to its back end, and any other name to none', async () => {
  assert.equal(await find('store.test'), STORE)
  assert.equal(await find('mail.test'), undefined)
  assert.equal(await find(undefined), undefined)
})

test('TLS for a back end that a reload has removed is not opened by mailmux instead', async () => {
  // A listener that was renamed keeps its rules until the restart, also where the routing file has no such back end any more.
  await assert.rejects(find('removed.test'), { code: 'client-no-such-name' })
})

test('a client that leaves ends the dialling of a back end that hangs, and no further address is tried', async (t) => {
  let dialled = (): void => undefined
  const isDialled = new Promise<void>((resolve) => (dialled = resolve))
  t.mock.method(Socket.prototype, 'connect', function connect(this: Socket) {
    dialled() // and neither success nor failure follows
    return this
  })
  const { settings } = STORE
  const address = { host: '192.0.2.1', ip: '192.0.2.1', port: 993 }
  let [attempts, hasLeft] = [0, false]
  const failures: string[] = []
  const live = {
    name: 'store1',
    enter: () =>
      Promise.resolve({
        next: () => ({ endpoint: { address }, again: false, othersLeft: ++attempts < 3 }),
        leave: () => (hasLeft = true),
      }),
    succeeded: () => undefined,
    failed: (_: unknown, { code }: { code: string }) => void failures.push(code),
  }
  const services = { backends: { of: () => live }, events: new SessionEvents([]) } as unknown as LoginServices
  const end = { address: '192.0.2.9', port: 1 }
  const origin = {
    source: end,
    destination: end,
    authority: undefined,
    alpn: undefined,
    ssl: undefined,
    uniqueId: undefined,
  }
  let leave = (): void => undefined
  const client = { onLeaving: (gone: () => void) => ((leave = gone), () => undefined) }
  const backend = { ...STORE, settings: { ...settings, proxyProtocol: 'none' } } as Backend
  const untilMs = performance.now() + 60_000
  const socket = dialAny(backend, { protocol: 'imap', origin, untilMs, client }, services)
  await isDialled
  leave()
  await assert.rejects(
    within(READ_DEADLINE_MS, socket, () => 'the dialling goes on'),
    { code: 'client-closed' },
  )
  assert.deepEqual([attempts, hasLeft, failures], [1, true, []])
})
