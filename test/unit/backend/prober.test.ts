import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { createCapabilityBook } from '../../../src/backend/capabilities.ts'
import { startProber, type ProbeBackend } from '../../../src/backend/health/prober.ts'
import type { BackendSettings, HealthSettings } from '../../../src/config/settings.ts'
import { MuxError } from '../../../src/errors.ts'
import { createReadMemory } from '../../../src/net/lean-socket.ts'
import { backendSettings, liveWorld } from './fixture.ts'

const HEALTH = backendSettings().health

function imapAt(name: string, health: Partial<HealthSettings> = {}, hosts = ['192.0.2.10']): BackendSettings {
  return backendSettings({ name, hosts, ports: { imap: 143 }, health: { ...HEALTH, ...health } })
}

/** A prober over back ends that answer as `ask` says, on a clock that the test moves. */
function probing(t: TestContext, ask: ProbeBackend, ...settings: BackendSettings[]) {
  t.mock.timers.enable({ apis: ['setInterval', 'setTimeout'] })
  const world = liveWorld(...settings)
  let current = settings
  const outcomes: string[] = []
  const asked: string[] = []
  const shortages: string[] = []
  const book = createCapabilityBook(world.log)
  const prober = startProber({
    backends: () =>
      new Map(
        current.map((one) => [one.name, { settings: one, tlsOptions: undefined, readMemory: createReadMemory() }]),
      ),
    live: world.live,
    ask: (backend, endpoint, kind, signal) => {
      asked.push(`${backend.settings.name} ${endpoint.protocol} ${endpoint.address.ip} ${kind}`)
      return ask(backend, endpoint, kind, signal)
    },
    book,
    log: world.log,
    metrics: { backendProbed: (name, outcome) => void outcomes.push(`${name} ${outcome}`) },
    noteShortage: (endpoint, detail) => void shortages.push(`${endpoint}: ${detail}`),
    nowMs: () => world.clock.ms,
    random: () => 0.5, // no jitter
  })
  t.after(() => prober.stop())
  return {
    ...world,
    prober,
    book,
    asked,
    outcomes,
    shortages,
    enterWorld: (...newest: BackendSettings[]) => world.enter(...(current = newest)),
    /** Lets time pass, a tick of the prober at a time, and what comes of each settle. */
    pass: async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += 100) {
        world.clock.ms += 100
        t.mock.timers.tick(100)
        for (let turn = 0; turn < 10; turn++) await Promise.resolve()
      }
    },
    /** what was asked since the last time */
    takeAsked: () => asked.splice(0),
  }
}

const knowsIdle: ProbeBackend = (_backend, _endpoint, kind) =>
  Promise.resolve(kind === 'greeting' ? ['IDLE'] : undefined)
const refuses: ProbeBackend = () => Promise.reject(new MuxError('backend-refused', 'nobody there'))

test('looks at each address of each back end for each protocol, and notes what it can do', async (t) => {
  const both = backendSettings({ name: 'both', hosts: ['192.0.2.1', '192.0.2.2'] })
  const { prober, book, asked, outcomes, lines } = probing(t, knowsIdle, both, imapAt('one'))
  await prober.probeAll()
  assert.deepEqual(asked, [
    'both imap 192.0.2.1 greeting',
    'both imap 192.0.2.2 greeting',
    'both pop3 192.0.2.1 greeting',
    'both pop3 192.0.2.2 greeting',
    'one imap 192.0.2.10 greeting',
  ])
  assert.deepEqual(book.common('imap', ['both', 'one']), ['IDLE'])
  assert.deepEqual(outcomes, [...Array<string>(4).fill('both ok'), 'one ok'])
  assert.deepEqual(lines, [])
})

test('looks again at each interval, and not before', async (t) => {
  const { pass, prober, takeAsked } = probing(t, knowsIdle, imapAt('a'))
  await prober.probeAll()
  takeAsked()
  await pass(9900)
  assert.deepEqual(takeAsked(), [])
  await pass(200)
  assert.equal(takeAsked().length, 1)
  await pass(10_000)
  assert.equal(takeAsked().length, 1)
})

test('makes down what fails three times, within seconds, and up what succeeds twice', async (t) => {
  let answer: ProbeBackend = refuses
  const { pass, prober, live, lines, gauges, recovered } = probing(t, (...all) => answer(...all), imapAt('a'))
  await prober.probeAll()
  assert.equal(live.get('a')?.isUp(), true)
  await pass(2200)
  assert.equal(live.get('a')?.isUp(), false)
  assert.equal(gauges.get('a'), false)
  assert.deepEqual(gauges.get('a imap'), { up: 0, down: 1 })
  answer = knowsIdle
  await pass(11_200)
  assert.equal(live.get('a')?.isUp('imap'), true)
  assert.deepEqual(recovered, ['a'])
  const [down, up] = lines
  assert.deepEqual(
    [down?.message, down?.address, down?.code, down?.detail, down?.othersUp],
    ['back end down', '192.0.2.10:143', 'backend-refused', 'nobody there', 0],
  )
  assert.deepEqual([up?.message, up?.protocol, lines.length], ['back end up', 'imap', 2])
})

test('while it is down, asks at the usual interval, one at a time', async (t) => {
  const { pass, prober, takeAsked } = probing(t, refuses, imapAt('a'))
  await prober.probeAll()
  await pass(2200)
  takeAsked()
  await pass(40_000)
  assert.equal(takeAsked().length, 4)
})

test('takes what hangs for down, with a deadline for each look and never two at once', async (t) => {
  const reasons: unknown[] = []
  const hangs: ProbeBackend = (_backend, _endpoint, _kind, signal) =>
    new Promise((_, reject) => {
      signal.addEventListener('abort', () => {
        reasons.push((signal.reason as MuxError).code)
        reject(signal.reason as Error)
      })
    })
  const { pass, live, asked } = probing(t, hangs, imapAt('a', { timeoutMs: 2000 }))
  await pass(1900)
  assert.equal(asked.length, 1)
  await pass(8000)
  assert.deepEqual(reasons, ['backend-timeout', 'backend-timeout', 'backend-timeout'])
  assert.equal(live.get('a')?.isUp(), false)
})

test('leaves alone an address where a login has just been answered', async (t) => {
  const { pass, prober, live, takeAsked, clock } = probing(t, knowsIdle, imapAt('a'))
  await prober.probeAll()
  takeAsked()
  for (let login = 0; login < 10; login++) {
    await pass(5000)
    const [endpoint] = live.get('a')?.addresses('imap') ?? []
    assert.ok(endpoint)
    live.get('a')?.succeeded(endpoint, { by: 'login', proof: 'login' })
  }
  assert.deepEqual(takeAsked(), [])
  await pass(20_000)
  assert.ok(takeAsked().length > 0)
  assert.ok(clock.ms > 0)
})

test('looks soon where a login has failed', async (t) => {
  const { pass, prober, live, takeAsked } = probing(t, knowsIdle, imapAt('a'))
  await prober.probeAll()
  takeAsked()
  const [endpoint] = live.get('a')?.addresses('imap') ?? []
  assert.ok(endpoint)
  live.get('a')?.failed(endpoint, { by: 'login', code: 'backend-refused', client: undefined }, '')
  await pass(1200)
  assert.equal(takeAsked().length, 1)
})

test('asks what a back end can do every five minutes, whatever its check is', async (t) => {
  for (const check of ['tcp', 'none'] as const) {
    await t.test(check, async (t) => {
      const { pass, prober, takeAsked, book } = probing(t, knowsIdle, imapAt('a', { check }))
      await prober.probeAll()
      assert.deepEqual(takeAsked(), ['a imap 192.0.2.10 greeting'])
      assert.deepEqual(book.common('imap', ['a']), ['IDLE'])
      await pass(299_000)
      const looks = takeAsked()
      assert.equal(looks.filter((kind) => kind.endsWith('greeting')).length, check === 'none' ? 0 : 1)
      assert.equal(looks.length > 20, check === 'tcp')
    })
  }
})

test('a back end that is not checked is not down because its capabilities cannot be read', async (t) => {
  const { pass, live, lines } = probing(t, refuses, imapAt('a', { check: 'none' }))
  await pass(1_000_000)
  assert.equal(live.get('a')?.isUp(), true)
  assert.ok(lines.length > 1)
  assert.deepEqual(lines[0], {
    level: 'warn',
    message: 'back end does not tell its capabilities',
    backend: 'a',
    protocol: 'imap',
    code: 'backend-refused',
    detail: 'nobody there',
  })
})

test('distinguishes a misconfigured back end from one that is down', async (t) => {
  let code: 'backend-certificate' | undefined = 'backend-certificate'
  const { pass, live, lines } = probing(
    t,
    () => (code ? Promise.reject(new MuxError(code, 'expired')) : Promise.resolve([])),
    imapAt('a'),
  )
  await pass(30_000)
  assert.equal(live.get('a')?.isUp(), false)
  assert.equal(live.get('a')?.describe().addresses[0]?.state, 'misconfigured')
  code = undefined
  await pass(11_000)
  assert.equal(live.get('a')?.isUp(), true)
  assert.deepEqual(
    lines.map(({ message }) => message),
    ['back end misconfigured', 'back end no longer misconfigured'],
  )
})

test('a defect of ours makes nothing down', async (t) => {
  const { pass, live, lines } = probing(
    t,
    () => {
      throw new TypeError('a defect')
    },
    imapAt('a'),
  )
  await pass(60_000)
  assert.equal(live.get('a')?.isUp(), true)
  assert.equal(lines[0]?.message, 'defect')
})

test('keeps what a back end said before it went down', async (t) => {
  let answer: ProbeBackend = knowsIdle
  const { pass, prober, book } = probing(t, (...all) => answer(...all), imapAt('a'))
  await prober.probeAll()
  answer = refuses
  await pass(60_000)
  assert.deepEqual(book.common('imap', ['a']), ['IDLE'])
})

test('looks at the back ends that there are now, until it is stopped', async (t) => {
  const { pass, prober, takeAsked, enterWorld } = probing(t, knowsIdle, imapAt('a'))
  await pass(100)
  assert.deepEqual(takeAsked(), ['a imap 192.0.2.10 greeting'])
  enterWorld(imapAt('b'))
  await pass(20_000)
  assert.ok(takeAsked().every((kind) => kind.startsWith('b ')))
  prober.stop()
  await pass(60_000)
  assert.deepEqual(takeAsked(), [])
})

test('a check that this machine has no descriptor for is no failure of the back end, and no success', async (t) => {
  const shortage = 'cannot connect to 192.0.2.10:143: EMFILE'
  const emfile: ProbeBackend = () => Promise.reject(new MuxError('local-shortage', shortage))
  const { prober, live, outcomes, shortages, lines, pass } = probing(t, emfile, imapAt('one', { fall: 1 }))
  await prober.probeAll()
  await pass(60_000)
  assert.equal(live.get('one')?.isUp(), true)
  assert.deepEqual(outcomes, [])
  assert.deepEqual(lines, [])
  assert.ok(shortages.length > 3)
  assert.deepEqual([...new Set(shortages)], [`check: ${shortage}`])
})

test('a check that outlasts its time because this process did not run is no failure of the back end', async (t) => {
  const hangs: ProbeBackend = (_backend, _endpoint, _kind, signal) =>
    new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
  const { prober, live, clock, outcomes, pass } = probing(t, hangs, imapAt('one', { fall: 1, timeoutMs: 1000 }))
  void prober.probeAll()
  await pass(500)
  clock.ms += 3_600_000 // stopped by a signal, or with its machine
  await pass(1000)
  assert.deepEqual([live.get('one')?.isUp(), outcomes], [true, []])
  await pass(60_000)
  assert.deepEqual([live.get('one')?.isUp(), outcomes.slice(0, 1)], [false, ['one failed']])
})
