/** The explanation of a hypothetical login: each decision, and that none is made twice or changes any state. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { routeAnswer } from '../../../src/admin/answers.ts'
import { createAdmissions } from '../../../src/backend/admission/admission.ts'
import { createBackendStates } from '../../../src/backend/states.ts'
import { createLiveBackends } from '../../../src/backend/live-backends.ts'
import type { BackendSettings, ListenerSettings } from '../../../src/config/settings.ts'
import { MuxError, type ErrorCode } from '../../../src/errors.ts'
import { asOctets } from '../../../src/octets.ts'
import type { Directory, DirectoryAnswer } from '../../../src/directory/directory.ts'
import { createRouter } from '../../../src/routing/router.ts'
import { Secret } from '../../../src/secret.ts'
import { explain, type Explanation } from '../../../src/inspect/explain.ts'
import type { Question } from '../../../src/inspect/question.ts'
import type { World } from '../../../src/world.ts'
import { backendSettings, backendsOf, keepLog } from '../backend/fixture.ts'
import { listenerSettings } from '../listener/listener-settings.ts'
import { PLACING } from '../routing/fixture.ts'

type Scene = {
  listeners?: Partial<ListenerSettings>[]
  backends?: Partial<BackendSettings>[]
  answer?: DirectoryAnswer | Error
  aliases?: [string, string][]
}

function open({ listeners = [{}], backends = [{}], answer, aliases = [] }: Scene = {}) {
  const all = backendsOf(...backends)
  const directory: Directory = {
    lookup: (_user, trace) => {
      assert.ok(trace, 'a lookup without a trace is a login’s')
      return answer instanceof Error
        ? Promise.reject(answer)
        : Promise.resolve(answer ?? { entry: undefined, source: 'directory' })
    },
    invalidate: () => assert.fail('nothing is changed'),
    connected: Promise.resolve(),
    close: () => Promise.resolve(),
  }
  const settings = listeners.map((one) => listenerSettings(one))
  const routing = {
    userCase: 'keep' as const,
    backends: new Map([...all].map(([name, one]) => [name, one.settings])),
    users: new Map([['static@example.test', { backend: 'store-1', login: undefined }]]),
    domains: new Map([['whole.test', { backend: 'store-1' }]]),
    placement: { domains: new Map(), others: undefined },
    aliases: new Map(aliases),
    resolvers: [],
  }
  const world = {
    settings: { listeners: settings },
    backends: all,
    router: createRouter(routing, directory, () => assert.fail('nothing is counted'), PLACING),
    listeners: new Map(
      settings.map((one) => [
        one.name,
        { settings: one, passthrough: new Map(one.passthrough.map(({ name, backend }) => [name, backend])) },
      ]),
    ),
  } as unknown as World
  const metrics = { backendIsUp: () => undefined, backendAddresses: () => undefined }
  const live = createLiveBackends({ log: keepLog().log, metrics, nowMs: () => 1000, toEpochMs: (ms) => ms })
  live.reconcile(routing)
  const clock = { nowMs: () => 1000, every: () => () => undefined }
  const admissions = createAdmissions({ log: keepLog().log, loginWaited: () => undefined, clock })
  admissions.configure(routing.backends)
  const states = createBackendStates(keepLog().log)
  states.configure(routing.backends)
  const ask = (question: Question) => explain(question, world, { backends: live, admissions, states })
  /** The answer, which must be one that the API may give: all that is in it is declared. */
  const answerTo = async (question: Question): Promise<Explanation> => {
    const found = await ask(question)
    assert.ok(!('wrong' in found), JSON.stringify(found))
    assert.deepEqual(routeAnswer.parse(found), JSON.parse(JSON.stringify(found)))
    return found
  }
  return { ask, answerTo, live, admissions, states }
}

const { sessions: _none, loginsPerSecond: _nor, leastForAddress: _neither, ...LIMITS } = backendSettings().limits

test('explains a static user, from the name to the connection', async () => {
  const { answerTo } = open({ listeners: [{ defaultDomain: 'example.test', tls: 'starttls' }] })
  assert.deepEqual(await answerTo({ user: 'static' }), {
    usable: true,
    login: { user: 'static', protocol: 'imap', listener: 'imap', tls: 'starttls' },
    name: {
      user: 'static@example.test',
      defaultDomain: { domain: 'example.test', by: 'listener' },
      notes: [{ what: 'default-domain', domain: 'example.test' }],
    },
    steps: [{ asked: 'users', key: 'static@example.test', outcome: 'found', detail: 'store-1' }],
    route: { source: 'static', backend: 'store-1', login: 'static@example.test' },
    backend: {
      name: 'store-1',
      up: true,
      state: 'up',
      stateFrom: 'routing',
      check: 'greeting',
      addresses: [
        {
          protocol: 'imap',
          host: '192.0.2.10',
          ip: '192.0.2.10',
          port: 143,
          source: 'address',
          state: 'up',
          sinceMs: 1000,
          nextCheckMs: 0,
        },
      ],
      leg: { tls: 'none', proxyHeader: 'none', forwardsIdentity: true },
      load: { sessions: 0, logins: 0, waiting: 0, limits: LIMITS },
    },
  })
})

test('reports the default domain and the rule that chose it', async () => {
  const defaultDomains = new Map([
    ['imap.one.test', 'one.test'],
    ['198.51.100.2', 'two.test'],
  ])
  const { answerTo } = open({ listeners: [{ defaultDomain: 'three.test', defaultDomains }] })
  const domainOf = async (question: Omit<Question, 'user'>) =>
    (await answerTo({ user: 'alice', ...question })).name?.defaultDomain
  const both = { serverName: 'IMAP.one.test', address: '198.51.100.2' }
  assert.deepEqual(await domainOf(both), { domain: 'one.test', by: 'server-name' })
  assert.deepEqual(await domainOf({ ...both, serverName: 'x' }), { domain: 'two.test', by: 'address' })
  assert.deepEqual(await domainOf({}), { domain: 'three.test', by: 'listener' })
  assert.equal((await answerTo({ user: 'alice@x.test' })).name?.defaultDomain, undefined)
})

test('uses the listener’s address if it has only one', async () => {
  const at = async (listener: Partial<ListenerSettings>) =>
    (await open({ listeners: [listener] }).answerTo({ user: 'a' })).login.address
  const place = (host: string) => ({ host, port: 143, optional: false })
  assert.equal(await at({ listen: [place('198.51.100.2')] }), '198.51.100.2')
  assert.equal(await at({ listen: [place('0.0.0.0')] }), undefined)
  assert.equal(await at({ listen: [place('198.51.100.2'), place('198.51.100.3')] }), undefined)
  assert.equal(await at({ listen: [place('198.51.100.2')], proxyProtocol: 'required' }), undefined)
})

test('reports an alias', async () => {
  const { answerTo } = open({ aliases: [['other.test', 'whole.test']] })
  const { name, route } = await answerTo({ user: 'alice@Other.test' })
  assert.equal(name?.user, 'alice@whole.test')
  assert.deepEqual(name.notes.at(-1), { what: 'alias', from: 'other.test', to: 'whole.test' })
  assert.equal(route?.source, 'domain')
})

test('reports the authenticated user, the mailbox and the login name at the back end', async () => {
  const { answerTo } = open({ listeners: [{ masterSeparator: '*', delimiters: '@\\' }] })
  const { name, route } = await answerTo({ user: 'alice@whole.test*admin' })
  assert.equal(name?.user, 'alice@whole.test')
  assert.deepEqual(name.notes[0], { what: 'master', master: 'admin' })
  assert.equal(route?.login, 'alice@whole.test*admin')
  const typed = await answerTo({ user: 'whole.test\\alice' })
  assert.deepEqual([typed.name?.user, typed.route?.login], ['alice@whole.test', 'whole.test\\alice'])
})

for (const user of ['alice*admin', 'CORP\\alice', 'Alice Liddell'])
  test(`names the setting that would allow ${user}`, async () => {
    const { name, usable } = await open().answerTo({ user })
    assert.deepEqual([usable, name?.user], [false, undefined])
    assert.match(JSON.stringify(name?.notes), /which no name may have.* (?:master_separator|delimiters)/)
  })

for (const [what, user, answer, refusal] of [
  [
    'is unknown',
    'alice@example.test',
    undefined,
    { reason: 'authentication-failed', detail: 'no route for this user' },
  ],
  ['cannot be anybody', 'al ice', undefined, { reason: 'authentication-failed', detail: 'no route for this user' }],
  ['is disabled', 'alice', entry('disabled'), { reason: 'disabled', detail: 'the directory says disabled' }],
  [
    'is on hold',
    'alice',
    entry('hold'),
    { reason: 'unavailable', code: 'user-on-hold', detail: 'the directory says hold: logins wait' },
  ],
  [
    'cannot be looked up',
    'alice',
    new MuxError('directory-unavailable', 'away'),
    { reason: 'unavailable', code: 'directory-unavailable', detail: 'away' },
  ],
  [
    'has a poisoned route',
    'alice',
    { entry: { backend: 'evil', login: undefined, status: 'active' }, source: 'directory' } as const,
    {
      reason: 'misconfigured',
      code: 'route-invalid',
      detail: 'the route names a back end that the routing file does not: "evil"',
    },
  ],
] as const)
  test(`reports why a login is refused if the user ${what}`, async () => {
    const { usable, refusal: told, route, backend } = await open(answer && { answer }).answerTo({ user })
    assert.deepEqual([usable, told, route, backend], [false, refusal, undefined, undefined])
  })

function entry(status: 'hold' | 'disabled'): DirectoryAnswer {
  return { entry: { backend: 'store-1', login: undefined, status }, source: 'directory' }
}

test('reports a back end that lacks the protocol, is down, or is misconfigured', async () => {
  const none = await open({ backends: [{ ports: { pop3: 110 } }] }).answerTo({ user: 'static@example.test' })
  assert.deepEqual([none.usable, none.refusal?.code, none.backend?.addresses], [false, 'backend-no-port', []])

  const fail = async (code: ErrorCode, times: number) => {
    const { live, answerTo } = open()
    const one = live.get('store-1')
    const [place] = one?.addresses('imap') ?? []
    assert.ok(place)
    for (let time = 0; time < times; time++) one?.failed(place, { by: 'check', code, client: undefined }, 'x')
    const { usable, refusal, backend } = await answerTo({ user: 'static@example.test' })
    return [usable, refusal?.reason, refusal?.code, backend?.up, backend?.addresses[0]?.state]
  }
  assert.deepEqual(await fail('backend-refused', 1), [true, undefined, undefined, true, 'up'])
  assert.deepEqual(await fail('backend-refused', 10), [false, 'unavailable', 'backend-down', false, 'down'])
  assert.deepEqual(await fail('backend-certificate', 1), [
    false,
    'misconfigured',
    'backend-certificate',
    false,
    'misconfigured',
  ])
})

test('takes the listener that is asked for, else the first that opens TLS', async () => {
  const listeners: Partial<ListenerSettings>[] = [
    { name: 'sealed', tls: 'passthrough' },
    { name: 'imap' },
    { name: 'pop', protocol: 'pop3' },
  ]
  const { answerTo, ask } = open({ listeners })
  const listenerOf = async (question: Omit<Question, 'user'>) =>
    (await answerTo({ user: 'a', ...question })).login.listener
  assert.equal(await listenerOf({}), 'imap')
  assert.equal(await listenerOf({ protocol: 'pop3' }), 'pop')
  assert.equal(await listenerOf({ listener: 'pop' }), 'pop')
  assert.equal(await listenerOf({ listener: 'sealed' }), 'sealed')
  assert.match(
    ((await ask({ user: 'a', listener: 'x' })) as { wrong: string }).wrong,
    /no listener x: sealed, imap, pop/,
  )
  assert.match(
    ((await ask({ user: 'a', listener: 'pop', protocol: 'imap' })) as { wrong: string }).wrong,
    /not speak imap/,
  )
  const { ask: askOther } = open()
  assert.match(
    ((await askOther({ user: 'a', protocol: 'pop3' })) as { wrong: string }).wrong,
    /no listener speaks pop3/,
  )
})

test('reports TLS that is passed through, without a name', async () => {
  const passthrough = [{ name: 'one.test', backend: 'store-1' }]
  const { answerTo } = open({ listeners: [{ tls: 'passthrough', passthrough }] })
  const passed = await answerTo({ user: 'alice', serverName: 'ONE.test' })
  assert.deepEqual(
    [passed.usable, passed.route, passed.steps, passed.name],
    [true, { source: 'pass-through', backend: 'store-1' }, [], undefined],
  )
  const closed = await answerTo({ user: 'alice', serverName: 'two.test' })
  assert.deepEqual(
    [closed.usable, closed.refusal?.code, closed.refusal?.reason],
    [false, 'client-no-such-name', undefined],
  )
})

test('reports the load of a back end and its limits', async () => {
  const limits = { sessions: 9, logins: 4, loginsPerSecond: 100, waitMs: 1000, queue: 5 }
  const { answerTo, admissions } = open({ backends: [{ limits: { ...limits, leastForAddress: 4 } }] })
  const settings = backendSettings({ limits: { ...limits, leastForAddress: 4 } })
  admissions.enter(settings, 1)?.becomeSession()
  admissions.enter(settings, 1)
  const { backend } = await answerTo({ user: 'static@example.test' })
  assert.deepEqual(backend?.load, { sessions: 1, logins: 1, waiting: 0, limits })
})

test('reports how a back end is verified, without secrets', async () => {
  const legOf = async (settings: Partial<BackendSettings>) => {
    const { backend } = await open({ backends: [settings] }).answerTo({ user: 'static@example.test' })
    assert.doesNotMatch(JSON.stringify(backend), /hunter2/)
    return backend?.leg
  }
  const key = { certFile: '', cert: '', keyFile: '', key: new Secret('hunter2') }
  const plain = { proxyHeader: 'none', forwardsIdentity: true }
  const tls = 'implicit'
  assert.deepEqual(await legOf({ tls, tlsName: 'a.test' }), {
    tls,
    verifies: 'name',
    certificateName: 'a.test',
    trusts: 'system',
    ...plain,
  })
  assert.deepEqual(await legOf({ tls, ca: 'PEM' }), { tls, verifies: 'name', trusts: 'ca_file', ...plain })
  assert.deepEqual(await legOf({ tls, verify: 'none' }), { tls, verifies: 'nothing', ...plain })
  assert.deepEqual(await legOf({ tls, verify: 'none', pins: ['AA'] }), {
    tls,
    verifies: 'pins',
    pins: ['AA'],
    ...plain,
  })
  assert.deepEqual(
    await legOf({
      clientCertificate: key,
      proxyProtocol: 'v2',
      forwardIdentity: false,
      master: { user: 'admin', secret: new Secret(asOctets('hunter2')), separator: '*' },
    }),
    {
      tls: 'none',
      showsCertificate: true,
      proxyHeader: 'v2',
      forwardsIdentity: false,
      master: { user: 'admin', by: 'separator' },
    },
  )
})

test('the report of a back end has the order to reassign its users', async () => {
  const { answerTo, states } = open()
  states.setFromDirectory('store-1', { state: 'drain', overMs: undefined, reassign: true })
  assert.equal((await answerTo({ user: 'static@example.test' })).backend?.reassign, true)
})

test('a back end whose state is not up is not usable, and the explanation says why', async () => {
  const { answerTo, states } = open()
  const found: unknown[] = []
  for (const state of ['down', 'pause', 'drain'] as const) {
    states.setFromDirectory('store-1', { state, overMs: undefined })
    const { usable, backend, refusal } = await answerTo({ user: 'static@example.test' })
    found.push([usable, backend?.state, refusal?.code, refusal?.detail])
  }
  assert.deepEqual(found, [
    [false, 'down', 'backend-down', 'the state of back end store-1 is down'],
    [false, 'pause', 'backend-paused', 'the state of back end store-1 is pause: logins wait'],
    [false, 'drain', 'backend-drained', 'the state of back end store-1 is drain: logins wait'],
  ])
})
