/** `mailmux backend` against an admin port that answers as scripted: the table, what is asked, and the exit codes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BackendAnswer } from '../../../src/admin/answers.ts'
import { formatBackends, listBackends, resetBackendState, setBackendState } from '../../../src/cli/backends.ts'
import { openAdminPort } from './admin-port.ts'

const address = { protocol: 'imap', host: 'store1', port: 143, source: 'name', sinceMs: 1 } as const
const BACKEND: BackendAnswer = {
  name: 'store1',
  up: true,
  state: 'up',
  stateFrom: 'routing',
  check: 'greeting',
  addresses: [
    { ...address, ip: '192.0.2.1', state: 'up' },
    { ...address, ip: '2001:db8::1', state: 'down', lastError: 'backend-refused' },
  ],
  leg: { tls: 'none', proxyHeader: 'none', forwardsIdentity: true },
  load: { sessions: 12, logins: 1, waiting: 0, limits: { logins: 20, waitMs: 10_000, queue: 1000 } },
}

test('shows each back end with its state, where that comes from, its health, load and addresses', () => {
  const drained: BackendAnswer = {
    ...BACKEND,
    name: 'store2',
    up: false,
    state: 'drain',
    stateFrom: 'directory',
    overMs: 600_000,
    addresses: [],
    load: { ...BACKEND.load, limits: { ...BACKEND.load.limits, sessions: 5000 } },
  }
  assert.match(
    formatBackends([{ ...drained, reassign: true }])[1] ?? '',
    /^store2 +drain over 10m, users are reassigned +Redis/,
  )
  assert.deepEqual(formatBackends([BACKEND, drained]), [
    'NAME    STATE           FROM          HEALTH  SESSIONS    LOGINS   WAITING    ADDRESSES',
    'store1  up              routing.yaml  up      12          1 of 20  0 of 1000  imap 192.0.2.1:143, imap [2001:db8::1]:143 down: backend-refused',
    'store2  drain over 10m  Redis         not up  12 of 5000  1 of 20  0 of 1000  none',
  ])
})

test('lists the back ends as a table, or as JSON', async (t) => {
  const answer = { backends: [BACKEND] }
  const { config, terminal, asked, out } = await openAdminPort(t, 200, answer)
  assert.equal(await listBackends({ config }, terminal), 0)
  assert.equal(out.length, 3)
  assert.equal(out[2], '1 back end; HEALTH, SESSIONS, LOGINS, WAITING and ADDRESSES are those of this instance')
  out.length = 0
  assert.equal(await listBackends({ config, json: true }, terminal), 0)
  assert.deepEqual(JSON.parse(out.join('\n')), answer)
  assert.equal(asked[0], 'GET /api/v1/backends')
})

test('sets a state, sends the name of the operator, and prints what has changed', async (t) => {
  const { config, terminal, asked, out, bodies } = await openAdminPort(t, 200, { backend: 'store1', changed: true })
  assert.equal(await setBackendState('store1', 'drain', { config, over: '10m', force: true }, terminal), 0)
  assert.equal(await setBackendState('store/1', 'up', { config }, terminal), 0)
  assert.equal(await resetBackendState('store1', { config }, terminal), 0)
  assert.deepEqual(asked, [
    'PUT /api/v1/backends/store1/state',
    'PUT /api/v1/backends/store%2F1/state',
    'DELETE /api/v1/backends/store1/state',
  ])
  const [drain, up] = bodies.map((body) => (body === '' ? {} : (JSON.parse(body) as Record<string, unknown>)))
  const by = drain?.['by']
  assert.match(String(by), /^[\w.@-]+$/)
  assert.deepEqual(drain, { state: 'drain', over: '10m', by, force: true })
  assert.deepEqual(up, { state: 'up', by, force: false })
  assert.deepEqual(out, [
    'store1: drain over 10m, for all instances',
    'next: mailmux wait store1 --empty',
    'store/1: up, for all instances',
    'store1: as in routing.yaml, for all instances',
  ])
})

test('orders the users of a drained back end to be reassigned', async (t) => {
  const { config, terminal, out, bodies } = await openAdminPort(t, 200, { backend: 'store1', changed: true })
  assert.equal(await setBackendState('store1', 'drain', { config, reassign: true }, terminal), 0)
  const { by: _, ...order } = JSON.parse(bodies[0] ?? '') as Record<string, unknown>
  assert.deepEqual(order, { state: 'drain', force: false, reassign: true })
  assert.deepEqual(out, ['store1: drain, users are reassigned, for all instances', 'next: mailmux wait store1 --empty'])
})

test('says where nothing has changed', async (t) => {
  const { config, terminal, out } = await openAdminPort(t, 200, { backend: 'store1', changed: false })
  assert.equal(await setBackendState('store1', 'pause', { config }, terminal), 0)
  assert.equal(await resetBackendState('store1', { config }, terminal), 0)
  assert.deepEqual(out, ['store1 has the state pause already', 'store1 has no state in Redis already'])
})

test('ends with 1 where the order is refused as things are, and with 2 where there is no answer to it', async (t) => {
  for (const [status, code, told] of [
    [409, 1, 'mailmux backend drain: as scripted'],
    [404, 2, 'mailmux backend drain: mailmux refuses to answer: as scripted'],
    [503, 2, 'mailmux backend drain: mailmux refuses to answer: as scripted'],
  ] as const) {
    const { config, terminal, errors } = await openAdminPort(t, status, { error: 'as scripted' })
    assert.equal(await setBackendState('store1', 'drain', { config }, terminal), code)
    assert.deepEqual(errors, [told])
  }
})

test('prints what the API answers to an order as JSON', async (t) => {
  const answer = { backend: 'store1', changed: true }
  const { config, terminal, out } = await openAdminPort(t, 200, answer)
  for (const run of [
    () => setBackendState('store1', 'drain', { config, json: true }, terminal),
    () => resetBackendState('store1', { config, json: true }, terminal),
  ]) {
    out.length = 0
    assert.equal(await run(), 0)
    assert.deepEqual(JSON.parse(out.join('\n')), answer)
  }
})
