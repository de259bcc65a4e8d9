/** Where a login goes and as whom: the router, the back ends and the client's side are the few facts of them that it asks for. */
import assert from 'node:assert/strict'
import { Socket } from 'node:net'
import { test } from 'node:test'
import type { BackendSettings, ListenerSettings } from '../../../src/config/settings.ts'
import { MuxError } from '../../../src/errors.ts'
import { asOctets, type Octets } from '../../../src/octets.ts'
import type { Credentials, LoginAttempt, Refused } from '../../../src/protocol/protocol.ts'
import type { Route, Router } from '../../../src/routing/router.ts'
import { identifyUser } from '../../../src/routing/identity.ts'
import { Secret } from '../../../src/secret.ts'
import { ClientConnection } from '../../../src/client/connection.ts'
import { describeLogin } from '../../../src/login/login-facts.ts'
import { SYSTEM_CLOCK } from '../../../src/login/clock.ts'
import {
  Login,
  LoginRecord,
  type Accepted,
  type LoginEvent,
  type LoginServices,
  type LoginSession,
} from '../../../src/login/login.ts'
import { commitRoute, routeLogin } from '../../../src/login/route.ts'
import { createIpSet } from '../../../src/net/ip-set.ts'
import type { Slot } from '../../../src/backend/admission/slot.ts'
import type { World } from '../../../src/world.ts'
import { backend, backendSettings, backendsOf } from '../backend/fixture.ts'
import { listenerSettings } from '../listener/listener-settings.ts'
import { named, rulesWith } from '../../support/user-name.ts'

type Scene = {
  login?: Partial<LoginAttempt>
  settings?: Partial<BackendSettings>
  /** the name at the back end, as text */
  mailbox?: string
  route?: Route | Error
  conn?: { serverName?: string; localAddress?: string; defaultDomains?: ReadonlyMap<string, string> }
  listener?: Partial<ListenerSettings>
  /** what the router makes of a name */
  identify?: (name: string) => string | undefined
  /** of the commit */
  settleError?: MuxError
}

function password(authcid = 'alice'): Credentials {
  return { kind: 'password', authcid: asOctets(authcid), password: new Secret(asOctets('secret')) }
}

async function route({
  login: changes,
  settings,
  mailbox = 'alice',
  route: fixed,
  conn: where = {},
  listener,
  identify,
  settleError,
}: Scene) {
  const backends = backendsOf(settings ?? {})
  const asked: { name: string; domain: string | undefined }[] = []
  const sources: string[] = []
  const settled: string[] = []
  const session = {
    listener: listenerSettings({
      defaultDomain: 'default.test',
      defaultDomains: where.defaultDomains ?? new Map(),
      ...listener,
    }),
    connection: {
      serverName: where.serverName,
      local: { address: where.localAddress ?? '198.51.100.1', port: 993 },
    },
  } as unknown as LoginSession
  const found: Route | Error = fixed ?? {
    kind: 'backend',
    backend: backendSettings(settings),
    login: mailbox,
    source: 'static',
  }
  const world = {
    backends,
    router: {
      identify: (name: Octets, { defaultDomain, ...rules }: Parameters<Router['identify']>[1]) => {
        asked.push({ name, domain: defaultDomain })
        if (listener) return identifyUser(name, rulesWith(rules))
        const user = identify ? identify(name) : name
        return user === undefined ? undefined : named(user)
      },
      byUser: () => (found instanceof Error ? Promise.reject(found) : Promise.resolve(found)),
      commit: (...words: string[]) =>
        settleError ? Promise.reject(settleError) : Promise.resolve(void settled.push(words.join(' at '))),
    },
  } as unknown as World
  const emit = (event: LoginEvent): void => {
    if (event.type === 'route-looked-up') sources.push(event.source)
  }
  const attempt: LoginAttempt = {
    user: asOctets('alice'),
    mechanism: 'PLAIN',
    credentials: password(),
    id: new Map(),
    ttl: undefined,
    preamble: [],
    ...changes,
  }
  const services = { clock: SYSTEM_CLOCK, events: { emit, wantsDetails: false } } as unknown as LoginServices
  const login = new Login(session, new LoginRecord(1), attempt, world, services)
  const routed = await (async () => routeLogin(login))().catch((error: unknown) => error)
  return { routed, login, record: login.record, asked, sources, settled }
}

/** The login that the back end is asked for, with its password to be seen. */
async function loginOf(scene: Scene): Promise<unknown> {
  const { routed } = await route(scene)
  if (routed instanceof Error) throw routed
  const { user, credentials } = (routed as { login: { user: string; credentials: Credentials } }).login
  if (credentials.kind !== 'password') return { user, kind: credentials.kind }
  return { user, authcid: credentials.authcid, password: credentials.password.reveal() }
}

const master = { user: 'admin', secret: new Secret(asOctets('master secret')), separator: undefined }
const CERTIFIED: Partial<LoginAttempt> = { mechanism: 'EXTERNAL', credentials: { kind: 'certificate' } }

test('logs a user in as himself, under the name that he has at the back end', async () => {
  assert.deepEqual(await loginOf({}), { user: 'alice', authcid: 'alice', password: 'secret' })
  assert.deepEqual(await loginOf({ mailbox: 'alice@example.org' }), {
    user: 'alice@example.org',
    authcid: 'alice@example.org',
    password: 'secret',
  })
})

test('keeps the name of the password’s owner if that user acts for another', async () => {
  assert.deepEqual(await loginOf({ login: { credentials: password('admin') }, mailbox: 'alice@example.org' }), {
    user: 'alice@example.org',
    authcid: 'admin',
    password: 'secret',
  })
})

test('logs a certified user in by the master user’s authzid', async () => {
  assert.deepEqual(await loginOf({ login: CERTIFIED, settings: { master }, mailbox: 'alice@example.org' }), {
    user: 'alice@example.org',
    authcid: 'admin',
    password: 'master secret',
  })
})

test('names a master user outside ASCII in UTF-8', async () => {
  const settings = { master: { ...master, user: 'šef' } }
  assert.deepEqual(await loginOf({ login: CERTIFIED, settings }), {
    user: 'alice',
    authcid: '\xc5\xa1ef',
    password: 'master secret',
  })
})

// Dovecot's auth_master_user_separator
test('logs a certified user in as user*master where the back end has a separator', async () => {
  const settings = { master: { ...master, separator: '*' } }
  assert.deepEqual(await loginOf({ login: CERTIFIED, settings, mailbox: 'alice@example.org' }), {
    user: 'alice@example.org*admin',
    authcid: 'alice@example.org*admin',
    password: 'master secret',
  })
})

/** A listener that lets names through which only the back end understands. */
const OPEN_NAMES = { masterSeparator: '*', delimiters: '@\\ ' }

test('routes user*master by the user, and sends the name at the back end with the master user behind it', async () => {
  const login = { user: asOctets('alice*admin'), credentials: password('alice*admin') }
  for (const mailbox of ['alice', 'inner@example.org']) {
    const scene = { login, mailbox, listener: OPEN_NAMES }
    const name = `${mailbox}*admin`
    assert.deepEqual(await loginOf(scene), { user: name, authcid: name, password: 'secret' })
    const { login: routed, record } = await route(scene)
    assert.deepEqual([record.user, record.master], ['alice', 'admin'])
    // The directory is asked about the user, and the password is another's.
    assert.deepEqual(describeLogin(routed).proof, {
      kind: 'password',
      password: undefined,
    })
  }
})

test('sends a proof of the client’s own with the whole name', async () => {
  for (const mechanism of ['XOAUTH2', 'OAUTHBEARER', 'SCRAM-SHA-1', 'SCRAM-SHA-256'] as const) {
    const firstMessage = (user: Octets) => new Secret(user)
    const credentials = { kind: 'relayed', mechanism, firstMessage } as Credentials
    const login = { user: asOctets('alice*admin'), mechanism, credentials }
    const { routed } = await route({ login, listener: OPEN_NAMES })
    assert.equal((routed as { login: { user: string } }).login.user, 'alice*admin')
  }
})

test('never uses the directory’s password of a user for the master user', async () => {
  const given: Route = {
    kind: 'backend',
    backend: backendSettings({}),
    login: 'a1',
    source: 'directory',
    password: new Secret(asOctets('of alice')),
  }
  const login = { user: asOctets('alice*admin'), credentials: password('alice*admin') }
  // The back end checks it as the password of the master user.
  const wanted = { user: 'a1*admin', authcid: 'a1*admin', password: 'of alice' }
  assert.deepEqual(await loginOf({ route: given, login, listener: OPEN_NAMES }), wanted)
})

test('reads no master user in a certificate’s name, nor beside an authcid, nor where the listener has no separator', async () => {
  const user = asOctets('alice*admin')
  for (const scene of [
    { login: { user, ...CERTIFIED }, settings: { master }, listener: OPEN_NAMES },
    { login: { user, credentials: password('admin') }, listener: OPEN_NAMES },
    { login: { user, credentials: password('alice*admin') }, listener: {} },
    { login: { user: asOctets('Alice Liddell'), ...CERTIFIED }, settings: { master }, listener: OPEN_NAMES },
    { login: { user: asOctets('CORP\\alice'), ...CERTIFIED }, settings: { master }, listener: OPEN_NAMES },
  ]) {
    const { routed, record } = await route(scene)
    assert.deepEqual((routed as { refusal: unknown }).refusal, { reason: 'authentication-failed' })
    assert.deepEqual([record.user, record.master], [undefined, undefined])
  }
})

test('does not use the master user if there is a password', async () => {
  assert.deepEqual(await loginOf({ settings: { master } }), { user: 'alice', authcid: 'alice', password: 'secret' })
})

test('cannot log in a certified user if the back end has no master user', async () => {
  const { routed } = await route({ login: CERTIFIED })
  assert.ok(routed instanceof MuxError)
  assert.equal(routed.code, 'no-master')
})

test('hands a proof of the client’s own on as it is', async () => {
  const credentials: Credentials = {
    kind: 'relayed',
    mechanism: 'XOAUTH2',
    firstMessage: (user) => new Secret(user),
    converse: () => Promise.resolve('*'),
  }
  const { routed, login } = await route({
    login: { credentials, mechanism: 'XOAUTH2' },
    mailbox: 'a@example.org',
    settings: { master },
  })
  // The same, but for a `converse` that counts the client's time.
  assert.deepEqual({ ...login.attempt.credentials, converse: credentials.converse }, credentials)
  assert.deepEqual(routed, {
    backend: backend({ master }),
    source: 'static',
    login: {
      user: 'a@example.org',
      credentials: login.attempt.credentials,
      startTls: false,
      preamble: [],
      proxyHeader: false,
    },
  })
})

test('writes the name at the back end in octets', async () => {
  assert.deepEqual(await loginOf({ mailbox: 'b\u00fccher@example.org' }), {
    user: 'b\xc3\xbccher@example.org',
    authcid: 'b\xc3\xbccher@example.org',
    password: 'secret',
  })
})

test('asks for TLS where the route’s back end wants STARTTLS', async () => {
  for (const [tls, wanted] of [
    ['none', false],
    ['implicit', false],
    ['starttls', true],
  ] as const) {
    const { routed } = await route({ settings: { tls } })
    assert.equal((routed as { login: { startTls: boolean } }).login.startTls, wanted)
  }
})

test('records the user and the back end', async () => {
  const { record, sources } = await route({ identify: () => 'alice@default.test' })
  assert.deepEqual([record.user, record.backend, sources], ['alice@default.test', 'store-1', ['static']])
})

test('refuses an invalid name as a wrong password, without a question to the directory', async () => {
  const { routed, record, sources } = await route({ identify: () => undefined })
  assert.deepEqual(routed, {
    accepted: false,
    refusal: { reason: 'authentication-failed' },
    detail: 'no route for this user',
  })
  assert.deepEqual([record.user, record.backend, sources], [undefined, undefined, []])
})

for (const [kind, reason] of [
  ['unknown', 'authentication-failed'],
  ['disabled', 'disabled'],
] as const)
  test(`turns a user away whose route is ${kind}`, async () => {
    const { routed, record } = await route({ route: kind === 'unknown' ? { kind } : { kind, source: 'directory' } })
    assert.deepEqual((routed as { refusal: unknown }).refusal, { reason })
    assert.equal(record.backend, undefined)
  })

test('passes on the refusal of a directory that checks passwords', async () => {
  const refusal = { reason: 'authentication-failed', detail: 'no', waitMs: 3000, last: true } as const
  const { routed, record, sources } = await route({ route: { kind: 'refused', source: 'directory', ...refusal } })
  const { tookMs, ...rest } = routed as Refused
  assert.deepEqual(rest, {
    accepted: false,
    refusal: { reason: 'authentication-failed' },
    detail: 'no',
    waitMs: 3000,
    last: true,
  })
  assert.equal(typeof tookMs, 'number', 'the directory has checked the password: its time counts')
  assert.deepEqual([record.backend, sources], [undefined, ['directory']])
})

test('uses the directory’s password to log in as the owner of the mailbox', async () => {
  const given: Route = {
    kind: 'backend',
    backend: backendSettings({}),
    login: 'a1',
    source: 'directory',
    password: new Secret(asOctets('other')),
  }
  const wanted = { user: 'a1', authcid: 'a1', password: 'other' }
  assert.deepEqual(await loginOf({ route: given }), wanted)
  assert.deepEqual(await loginOf({ route: given, login: CERTIFIED }), wanted)
})

/** The facts of a login that a directory gets. */
function factsOf(login: Partial<LoginAttempt>, conn: object = {}) {
  const session = {
    listener: listenerSettings({ protocol: 'pop3' }),
    connection: {
      client: { address: '192.0.2.1', port: 50_000 },
      local: { address: '198.51.100.1', port: 110 },
      hasProxyHeader: false,
      secure: false,
      ...conn,
    },
  } as unknown as LoginSession
  const attempt = { user: 'alice', credentials: password(), ...login } as LoginAttempt
  return describeLogin({ session, record: new LoginRecord(2), attempt })
}

test('gives the directory the facts of the login, and its password', () => {
  const facts = factsOf({})
  assert.ok(facts.proof.kind === 'password')
  assert.equal(facts.proof.password?.reveal(), 'secret')
  assert.deepEqual(
    { ...facts, proof: undefined },
    {
      protocol: 'pop3',
      proof: undefined,
      attempt: 2,
      client: { address: '192.0.2.1', port: 50_000 },
      proxied: undefined,
      tls: undefined,
    },
  )
  assert.deepEqual(factsOf({}, { hasProxyHeader: true }).proxied, { address: '198.51.100.1', port: 110 })
})

test('gives the directory no password of another user', () => {
  assert.deepEqual(factsOf({ credentials: password('admin') }).proof, { kind: 'password', password: undefined })
  assert.deepEqual(factsOf(CERTIFIED).proof, { kind: 'certificate' })
  const credentials = { kind: 'relayed', mechanism: 'XOAUTH2' } as Credentials
  assert.deepEqual(factsOf({ credentials }).proof, { kind: 'relayed', mechanism: 'XOAUTH2' })
})

test('gives the directory the PROXY header’s facts about TLS that ended at the proxy', () => {
  const context = {
    settings: listenerSettings(),
    banner: () => '',
    tls: undefined,
    trustedProxies: createIpSet([]),
    passthrough: new Map(),
  }
  const connection = new ClientConnection(new Socket(), context, () => undefined)
  connection.secure = true
  connection.tlsVersion = 'TLSv1.2'
  const describeTls = () => connection.describeTls()
  const tls = { version: 'TLSv1.2', cipher: undefined, certificate: undefined }
  assert.deepEqual(factsOf({}, { secure: true, describeTls }).tls, tls)
  connection.close()
})

test('counts a directory that cannot be asked, and lets its error through', async () => {
  const { routed, sources } = await route({ route: new MuxError('directory-unavailable', 'gone') })
  assert.ok(routed instanceof MuxError)
  assert.equal(routed.code, 'directory-unavailable')
  assert.deepEqual(sources, ['error'])
})

test('gives a bare name the domain of the server name, else of the local address, else of the listener', async () => {
  const defaultDomains = new Map([
    ['imap.one.test', 'one.test'],
    ['198.51.100.2', 'two.test'],
  ])
  const domainOf = async (where: { serverName?: string; localAddress?: string }) =>
    (await route({ conn: { ...where, defaultDomains } })).asked[0]?.domain
  assert.equal(await domainOf({ serverName: 'imap.one.test', localAddress: '198.51.100.2' }), 'one.test')
  assert.equal(await domainOf({ serverName: 'imap.other.test', localAddress: '198.51.100.2' }), 'two.test')
  assert.equal(await domainOf({ localAddress: '198.51.100.2' }), 'two.test')
  assert.equal(await domainOf({}), 'default.test')
})

// The client chooses the server name, the address and the port that it connects to, and would so choose whose mailbox it opens.
test('gives the name of a certificate no domain, whatever the client connects to', async () => {
  const defaultDomains = new Map([
    ['imap.one.test', 'one.test'],
    ['198.51.100.2', 'two.test'],
  ])
  const master = { user: 'admin', secret: new Secret(asOctets('master secret')), separator: undefined }
  for (const where of [{ serverName: 'imap.one.test' }, { localAddress: '198.51.100.2' }, {}]) {
    const { asked } = await route({ login: CERTIFIED, settings: { master }, conn: { ...where, defaultDomains } })
    assert.deepEqual(asked, [{ name: 'alice', domain: undefined }])
  }
})

/** The commit of a route after a back end has accepted the login. */
async function commit(scene: Scene) {
  const { login, settled, routed, sources } = await route(scene)
  assert.ok(!(routed instanceof Error) && 'backend' in (routed as object))
  const released: string[] = []
  login.record.slot = { release: () => released.push('slot') } as unknown as Slot
  const backend = { close: () => void released.push('connection') }
  const outcome = await commitRoute(login, { backend } as unknown as Accepted).catch((error: unknown) => error)
  return { settled, sources, released, outcome }
}

test('commits the route of a new user under the name that the user is routed by', async () => {
  const placed: Route = { kind: 'backend', backend: backendSettings(), login: 'inner', source: 'placed' }
  const { sources, settled, released } = await commit({ route: placed, identify: () => 'alice@example.test' })
  assert.deepEqual([sources, settled, released], [['placed'], ['alice@example.test at store-1'], []])
})

test('leaves the back end again if the route of a new user cannot be committed', async () => {
  const placed: Route = { kind: 'backend', backend: backendSettings(), login: 'inner', source: 'placed' }
  const failure = new MuxError('directory-unavailable', 'gone')
  const { outcome, released } = await commit({ route: placed, settleError: failure })
  assert.equal(outcome, failure)
  assert.deepEqual(released, ['connection', 'slot'])
})

test('decides whether a PROXY header precedes the dialogue with the back end', async () => {
  for (const [proxyProtocol, wanted] of [
    ['none', false],
    ['v1', true],
    ['v2', true],
  ] as const) {
    const { routed } = await route({ settings: { proxyProtocol } })
    assert.equal((routed as { login: { proxyHeader: boolean } }).login.proxyHeader, wanted)
  }
})

test('counts a user without a route as unknown', async () => {
  assert.deepEqual((await route({ route: { kind: 'unknown' } })).sources, ['unknown'])
})

test('takes a back end that its world does not have for a defect', async () => {
  const absent: Route = { kind: 'backend', backend: backendSettings({ name: 'gone' }), login: 'a', source: 'static' }
  const { routed } = await route({ route: absent })
  assert.ok(routed instanceof MuxError)
  assert.equal(routed.code, 'internal')
})
