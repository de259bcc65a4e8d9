import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connectTimeoutMs } from '../../../src/backend/endpoint/cursor.ts'
import type { Endpoint } from '../../../src/backend/endpoint/endpoint.ts'
import type { LiveBackend } from '../../../src/backend/live-backend.ts'
import type { ErrorCode } from '../../../src/errors.ts'
import { backendSettings, isCode, liveWorld } from './fixture.ts'

const imapAt = (hosts: string[], name = 'a') => backendSettings({ name, hosts, ports: { imap: 143 } })
const ips = (endpoints: readonly Endpoint[]) => endpoints.map(({ address }) => address.ip)

function makeDown(live: LiveBackend, endpoint: Endpoint, code: ErrorCode = 'backend-refused'): void {
  for (let check = 0; check < 3; check++)
    live.failed(endpoint, { by: 'check', code, client: undefined }, 'nobody there')
}

const answered = { by: 'login', proof: 'login' } as const

test('the first address that is up comes first, and a login goes on to the next at once', async () => {
  const live = liveWorld(imapAt(['192.0.2.1', '192.0.2.2', '192.0.2.3'])).live.get('a')!
  makeDown(live, live.addresses('imap')[0]!)
  assert.deepEqual(ips(live.addresses('imap')), ['192.0.2.2', '192.0.2.3', '192.0.2.1'])
  const way = await live.enter('imap', 'ann', 1000)
  const steps = [way.next(), way.next(), way.next()].map((step) => [
    step?.endpoint.address.ip,
    step?.again,
    step?.othersLeft,
  ])
  assert.deepEqual(steps, [
    ['192.0.2.2', false, true],
    ['192.0.2.3', false, false],
    ['192.0.2.2', true, false], // never the one that is down
  ])
})

test('an address gets 5 seconds or half of what is left where there is another, and all of it where not', () => {
  const step = { endpoint: {} as Endpoint, again: false }
  assert.equal(connectTimeoutMs({ ...step, othersLeft: true }, 20_000), 5000)
  assert.equal(connectTimeoutMs({ ...step, othersLeft: true }, 3000), 1500)
  assert.equal(connectTimeoutMs({ ...step, othersLeft: false }, 20_000), 20_000)
})

test('if all addresses are down, one login at a time tries each once, and other logins fail at once', async () => {
  const live = liveWorld(imapAt(['192.0.2.1', '192.0.2.2'])).live.get('a')!
  for (const endpoint of [...live.addresses('imap')]) makeDown(live, endpoint)
  const trial = await live.enter('imap', 'ann', 1000)
  await assert.rejects(async () => live.enter('imap', 'ben', 1000), isCode('backend-down'))
  assert.deepEqual(
    [trial.next(), trial.next(), trial.next()].map((step) => step?.endpoint.address.ip),
    ['192.0.2.1', '192.0.2.2', undefined],
  )
  trial.leave()
  const next = await live.enter('imap', 'ben', 1000)
  live.succeeded(next.next()!.endpoint, answered)
  next.leave()
  await live.enter('imap', 'ann', 1000)
  await live.enter('imap', 'ben', 1000) // no login waits any more
})

test('is up for a protocol by itself, and as a whole where each that it serves is', () => {
  const live = liveWorld(backendSettings({ name: 'a' })).live.get('a')!
  makeDown(live, live.addresses('pop3')[0]!)
  assert.deepEqual([live.isUp('imap'), live.isUp('pop3'), live.isUp()], [true, false, false])
})

test('a wrong certificate keeps the address in its place in the order, but excludes it for new users', async () => {
  const { live: all, lines, gauges } = liveWorld(imapAt(['192.0.2.1']))
  const live = all.get('a')!
  const [endpoint] = live.addresses('imap')
  makeDown(live, endpoint!, 'backend-certificate')
  assert.deepEqual([live.isUp(), gauges.get('a'), gauges.get('a imap')], [false, false, { up: 1, down: 0 }])
  assert.equal((await live.enter('imap', 'ann', 1000)).next()?.endpoint, endpoint)
  assert.deepEqual(
    lines.map(({ message }) => message),
    ['back end misconfigured'],
  )
})

test('a connection alone makes up what is only asked for one', () => {
  const unchecked = { ...imapAt(['192.0.2.1']), health: { ...imapAt([]).health, check: 'none' as const } }
  for (const [settings, expected] of [
    [unchecked, true],
    [imapAt(['192.0.2.1']), false],
  ] as const) {
    const live = liveWorld(settings).live.get('a')!
    const [endpoint] = live.addresses('imap')
    makeDown(live, endpoint!)
    live.succeeded(endpoint!, { by: 'login', proof: 'connection' })
    assert.equal(live.isUp(), expected)
  }
})

test('a login waits for a name that has never been found, and not for one that has', async () => {
  const { live, dns, clock } = liveWorld(imapAt(['store.test']))
  const backend = live.get('a')!
  await assert.rejects(async () => backend.enter('imap', 'ann', 1000), isCode('backend-unreachable'))
  dns.hosts.set('store.test', ['192.0.2.1'])
  await assert.rejects(async () => backend.enter('imap', 'ann', 1000), isCode('backend-unreachable')) // not asked for each of a crowd
  clock.ms += 1000
  assert.equal((await backend.enter('imap', 'ann', 1000)).next()?.endpoint.address.ip, '192.0.2.1')
  assert.deepEqual(dns.asked, ['store.test', 'store.test'])
  await backend.enter('imap', 'ann', 1000)
  assert.equal(dns.asked.length, 2)
  live.close()
})

test('is looked up again when the record expires, and keeps the health of an address that stays', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const world = liveWorld()
  world.dns.hosts.set('store.test', ['192.0.2.1', '192.0.2.2'])
  world.enter(imapAt(['store.test']))
  const live = world.live.get('a')!
  await live.located()
  const stays = live.addresses('imap').find(({ address }) => address.ip === '192.0.2.2')!
  makeDown(live, stays)
  world.dns.hosts.set('store.test', ['192.0.2.2', '192.0.2.3'])
  world.clock.ms += 30_000
  t.mock.timers.tick(30_000)
  await live.located()
  assert.deepEqual(new Set(ips(live.addresses('imap'))), new Set(['192.0.2.2', '192.0.2.3']))
  assert.equal(stays.health.up, false)
  assert.ok(live.addresses('imap').includes(stays))
  const changed = world.lines.filter(({ message }) => message === 'back end addresses changed')
  const addresses = ['192.0.2.3:143', '192.0.2.2:143'] // the one that is down last
  assert.deepEqual(changed, [
    { level: 'info', message: 'back end addresses changed', backend: 'a', protocol: 'imap', addresses },
  ])
  world.live.close()
})

test('a reload keeps the health of a back end with the same address, and drops that of one with a new address', () => {
  const old = imapAt(['192.0.2.1'])
  const { live, enter } = liveWorld(old, imapAt(['192.0.2.5'], 'b'))
  makeDown(live.get('a')!, live.get('a')!.addresses('imap')[0]!)
  enter({ ...old, forwardIdentity: false })
  assert.equal(live.get('a')?.isUp(), false)
  assert.equal(live.get('b'), undefined)
  enter(imapAt(['192.0.2.2']))
  assert.equal(live.get('a')?.isUp(), true)
  assert.deepEqual(ips(live.of(old).addresses('imap')), ['192.0.2.1']) // for a login of the older world
})

test('describes each address in plain facts', () => {
  const { live, clock } = liveWorld(imapAt(['192.0.2.1']))
  makeDown(live.get('a')!, live.get('a')!.addresses('imap')[0]!)
  assert.deepEqual(live.describe(), [
    {
      name: 'a',
      up: false,
      check: 'greeting',
      addresses: [
        {
          protocol: 'imap',
          host: '192.0.2.1',
          ip: '192.0.2.1',
          port: 143,
          source: 'address',
          state: 'down',
          sinceMs: clock.ms,
          lastError: 'backend-refused',
          nextCheckMs: 0,
          lookedUpAgainMs: undefined,
        },
      ],
    },
  ])
})

test('a name that this machine has no descriptor to look up is no failure of DNS or of the back end', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const { live, dns, enter, lines, shortages } = liveWorld()
  dns.code = 'EMFILE'
  enter(imapAt(['store.example.test']))
  await assert.rejects(async () => live.get('a')!.enter('imap', 'ann', 1000), isCode('local-shortage'))
  assert.deepEqual(lines, [])
  assert.deepEqual([...new Set(shortages)], ['lookup: name store.example.test of back end a: EMFILE'])
})

test('a timeout while this process did not run is no failure of the back end, other failures are', () => {
  const { live: all, clock } = liveWorld(imapAt(['192.0.2.1']))
  const live = all.get('a')!
  const [endpoint] = live.addresses('imap')
  clock.hasStalled = true
  for (let times = 0; times < 9; times++) {
    clock.ms += 1000
    live.failed(endpoint!, { by: 'login', code: 'backend-timeout', client: undefined }, 'late')
  }
  assert.equal(live.isUp('imap'), true)
  makeDown(live, endpoint!)
  assert.equal(live.isUp('imap'), false)
})
