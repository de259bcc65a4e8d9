/** What a client reads whose login waits for a paused back end, or because its user is on hold, octet for octet, by each protocol; and that nothing is dialled meanwhile. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { createAdmissions } from '../../../src/backend/admission/admission.ts'
import { MuxError } from '../../../src/errors.ts'
import { createHeldUsers, type HeldUsers } from '../../../src/login/held-users.ts'
import { SYSTEM_CLOCK } from '../../../src/login/clock.ts'
import { createIpSet } from '../../../src/net/ip-set.ts'
import type { ProtocolName } from '../../../src/protocol/registry.ts'
import { SessionEvents } from '../../../src/session/events.ts'
import type { Services } from '../../../src/session/services.ts'
import { subscribeLog } from '../../../src/session/session-log.ts'
import { createSessions } from '../../../src/session/sessions.ts'
import type { World } from '../../../src/world.ts'
import { READ_DEADLINE_MS, until, within } from '../../support/deadline.ts'
import { named } from '../../support/user-name.ts'
import { backend as buildBackend, keepLog } from '../backend/fixture.ts'
import { listenerSettings } from '../listener/listener-settings.ts'

async function open(t: TestContext, protocol: ProtocolName) {
  const listener = listenerSettings({ protocol, tls: 'none', allowPlaintextAuth: true, passthrough: [] })
  const backend = buildBackend({ ports: { [protocol]: 1 }, slowStartMs: 0 })
  const { log, lines } = keepLog()
  const clock = { aheadMs: 0, tick: (): void => undefined }
  const nowMs = (): number => performance.now() + clock.aheadMs
  const limits = {
    loginTimeoutMs: 60_000,
    backendTimeoutMs: 20_000,
    failureDelayMs: 0,
    maxLineBytes: 8192,
    maxBadCommands: 3,
    maxWrongPasswords: 5,
  }
  const context = {
    settings: listener,
    banner: () => 'ready',
    tls: undefined,
    trustedProxies: createIpSet([]),
    passthrough: new Map(),
  }
  const world = {
    settings: { listeners: [listener], limits },
    listeners: new Map([[listener.name, context]]),
    backends: new Map([[backend.settings.name, backend]]),
    router: {
      identify: named,
      byUser: () =>
        Promise.resolve(
          site.isOnHold
            ? { kind: 'hold', source: 'directory', token: undefined }
            : { kind: 'backend', backend: backend.settings, login: 'alice', source: 'static' },
        ),
    },
  } as unknown as World
  let dialled = 0
  const site = { isOnHold: false }
  const held = { tick: (): void => undefined }
  const every = (holder: { tick: () => void }) => (_: number, run: () => void) => {
    holder.tick = run
    return () => (holder.tick = () => undefined)
  }
  const heldUsers = createHeldUsers((user) => user, { clock: { nowMs, every: every(held) }, random: () => 0 })
  const admissions = createAdmissions({
    log,
    loginWaited: () => undefined,
    clock: {
      nowMs,
      every: every(clock),
    },
    random: () => 0,
  })
  admissions.configure(new Map([[backend.settings.name, backend.settings]]))
  const services = {
    logins: {
      admissions,
      heldUsers,
      states: { of: () => undefined },
      backends: {
        of: () => ({
          enter: () => {
            dialled++
            return Promise.reject(new MuxError('backend-refused', 'as scripted'))
          },
        }),
      },
      clock: { ...SYSTEM_CLOCK, nowMs },
      events: new SessionEvents([subscribeLog(log)]),
    },
    events: new SessionEvents([subscribeLog(log)]),
    maxConnections: () => 10,
    offer: () => ({ mechanisms: ['PLAIN'], announced: [] }),
  } as unknown as Services
  const sessions = createSessions(() => world, services)
  const server = createServer((socket) => sessions.accept(socket, listener.name)).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1').setEncoding('latin1')
  t.after(() => {
    client.destroy()
    server.close()
    admissions.close()
    heldUsers.close()
  })
  let heard = ''
  client.on('data', (text: string) => (heard += text))
  client.on('error', () => undefined)
  const closed = once(client, 'close')
  const has = (text: string | RegExp) =>
    until(
      READ_DEADLINE_MS,
      () => (typeof text === 'string' ? heard.includes(text) : text.test(heard)) || undefined,
      () => `no ${String(text)} in ${JSON.stringify(heard)}`,
    )
  return {
    admissions,
    heldUsers,
    setOnHold: (isOnHold: boolean) => (site.isOnHold = isOnHold),
    sessions,
    client,
    closed: () => within(READ_DEADLINE_MS, closed, () => 'the connection is still open'),
    lines,
    has,
    heard: () => heard,
    forget: () => (heard = ''),
    dialled: () => dialled,
    waiting: (count: number) =>
      until(
        READ_DEADLINE_MS,
        () => (admissions.describe()[0]?.waiting === count ? true : undefined),
        () => `not ${count} logins wait`,
      ),
    pass: (ms: number) => {
      clock.aheadMs += ms
      clock.tick()
      held.tick()
    },
  }
}

const SCRIPTS: Record<
  ProtocolName,
  { greeting: RegExp; login: string; longestMs: number; reassured: string; end: string; outage: string }
> = {
  imap: {
    greeting: /^\* OK .*\r\n/,
    login: 'a LOGIN alice secret\r\n',
    longestMs: 45_000,
    reassured: '* OK Still connecting to your mail store.\r\n',
    end: '* BYE [UNAVAILABLE] Your mail store is being restarted, please connect again.\r\n',
    outage: 'a NO [UNAVAILABLE] Account is temporarily unavailable.\r\n',
  },
  pop3: {
    greeting: /^\+OK .*\r\n/,
    login: 'AUTH PLAIN AGFsaWNlAHNlY3JldA==\r\n',
    longestMs: 25_000,
    reassured: '',
    end: '-ERR [SYS/TEMP] Your mail store is being restarted, please connect again.\r\n',
    outage: '-ERR [SYS/TEMP] Account is temporarily unavailable.\r\n',
  },
  managesieve: {
    greeting: /OK .*\r\n$/,
    login: 'AUTHENTICATE "PLAIN" "AGFsaWNlAHNlY3JldA=="\r\n',
    longestMs: 25_000,
    reassured: '',
    end: 'BYE (TRYLATER) "Your mail store is being restarted, please connect again."\r\n',
    outage: 'NO (TRYLATER) "Account is temporarily unavailable."\r\n',
  },
}

for (const [protocol, script] of Object.entries(SCRIPTS) as [ProtocolName, (typeof SCRIPTS)['imap']][]) {
  async function logIn(t: TestContext, state: 'pause' | 'drain' = 'pause') {
    const site = await open(t, protocol)
    site.admissions.setState('store-1', state)
    await site.has(script.greeting)
    site.forget()
    site.client.write(script.login)
    await site.waiting(1)
    return site
  }

  test(`${protocol}: a login that has waited as long as it may ends with a goodbye alone`, async (t) => {
    const site = await logIn(t)
    site.pass(11_000)
    if (script.reassured !== '') await site.has(script.reassured)
    assert.equal(site.heard(), script.reassured)
    site.pass(script.longestMs - 11_000)
    await site.closed()
    assert.equal(site.heard(), script.reassured + script.end)
    assert.equal(site.dialled(), 0)
    const [refused, ended] = site.lines.slice(-2)
    assert.deepEqual([refused?.['code'], refused?.['phase']], ['backend-paused', 'waiting'])
    assert.equal(ended?.['cause'], 'backend-paused')
  })

  test(`${protocol}: a login that has waited for a drained back end reads of maintenance, not of a restart`, async (t) => {
    const site = await logIn(t, 'drain')
    site.pass(script.longestMs)
    await site.closed()
    assert.ok(site.heard().endsWith(script.end.replace(/Your mail store is being restarted/, 'Maintenance')))
    assert.equal(site.lines.at(-1)?.['cause'], 'backend-drained')
  })

  test(`${protocol}: a waiting login goes on once the back end is up`, async (t) => {
    const site = await logIn(t)
    site.pass(script.longestMs - 5000)
    assert.equal(site.dialled(), 0)
    site.admissions.setState('store-1', 'up')
    site.pass(50)
    await site.has(script.outage) // of the scripted dial
    assert.equal(site.dialled(), 1)
    await site.waiting(0)
  })

  test(`${protocol}: a client that leaves while it waits frees its place`, async (t) => {
    const site = await logIn(t)
    site.client.destroy()
    await site.waiting(0)
    assert.equal(site.dialled(), 0)
  })

  test(`${protocol}: an operator who ends the session now does not wait for the login`, async (t) => {
    const site = await logIn(t)
    assert.equal(site.sessions.end({ client: '127.0.0.0/8' }, 'kicked', { now: true }), 1)
    await site.closed()
    assert.equal(site.heard(), '')
    assert.equal(site.dialled(), 0)
    const ended = await until(
      READ_DEADLINE_MS,
      () => site.lines.find(({ message }) => message === 'session ended'),
      () => 'the session does not end',
    )
    assert.deepEqual([ended['phase'], ended['cause'], ended['cut']], ['waiting', 'kicked', true])
  })

  const goodbye = (why: string): string =>
    script.end.replace('Your mail store is being restarted, please connect again.', why)
  const KICKED = goodbye('The session was ended by an administrator.')

  test(`${protocol}: a waiting login whose session an operator ends gets a goodbye alone, at once`, async (t) => {
    const site = await logIn(t)
    assert.equal(site.sessions.end({ client: '127.0.0.0/8' }, 'kicked'), 1)
    await site.closed()
    assert.equal(site.heard(), KICKED)
    assert.equal(site.dialled(), 0)
    await site.waiting(0)
    assert.deepEqual([site.lines.at(-1)?.['cause'], site.lines.at(-1)?.['phase']], ['kicked', 'waiting'])
  })

  test(`${protocol}: a waiting login whose route has changed gets a goodbye alone, at once`, async (t) => {
    const site = await logIn(t)
    for (const session of site.sessions.running) session.end('moved', 60_000)
    await site.closed()
    assert.equal(site.heard(), goodbye('The mailbox has moved, please connect again.'))
    assert.equal(site.lines.at(-1)?.['cause'], 'moved')
  })

  test(`${protocol}: the login of a user on hold whose session an operator ends gets a goodbye alone, at once`, async (t) => {
    const site = await onHold(t)
    assert.equal(site.sessions.end({ client: '127.0.0.0/8' }, 'kicked'), 1)
    await site.closed()
    assert.equal(site.heard(), KICKED)
    assert.equal(site.heldUsers.size, 0)
    assert.equal(site.lines.at(-1)?.['cause'], 'kicked')
  })

  test(`${protocol}: down ends the wait as an outage, and the connection stays`, async (t) => {
    const site = await logIn(t)
    site.admissions.setState('store-1', 'down')
    await site.has(script.outage)
    assert.equal(site.heard(), script.outage)
    assert.equal(site.client.destroyed, false)
  })

  const onHold = async (t: TestContext) => {
    const site = await open(t, protocol)
    site.setOnHold(true)
    await site.has(script.greeting)
    site.forget()
    site.client.write(script.login)
    await heldLogins(site.heldUsers, 1)
    return site
  }

  test(`${protocol}: the login of a user on hold that has waited as long as it may ends with a goodbye alone`, async (t) => {
    const site = await onHold(t)
    site.pass(11_000)
    if (script.reassured !== '') await site.has(script.reassured)
    site.pass(script.longestMs - 11_000)
    await site.closed()
    assert.equal(
      site.heard(),
      script.reassured + script.end.replace(/Your mail store is being restarted/, 'Your mailbox is being moved'),
    )
    assert.equal(site.dialled(), 0)
    assert.equal(site.lines.at(-1)?.['cause'], 'user-on-hold')
  })

  test(`${protocol}: the login of a user on hold goes on once the hold has ended, by a message or without one`, async (t) => {
    for (const end of ['message', 'none'] as const) {
      const site = await onHold(t)
      site.setOnHold(false)
      assert.equal(site.dialled(), 0)
      if (end === 'message') site.heldUsers.changed('alice')
      else site.pass(1000)
      await site.has(script.outage) // of the scripted dial
      assert.equal(site.dialled(), 1)
      assert.equal(site.heldUsers.size, 0)
    }
  })

  test(`${protocol}: a client that leaves while its user is on hold frees its place`, async (t) => {
    const site = await onHold(t)
    site.client.destroy()
    await heldLogins(site.heldUsers, 0)
    assert.equal(site.dialled(), 0)
  })
}

const heldLogins = (held: HeldUsers, count: number) =>
  until(
    READ_DEADLINE_MS,
    () => held.size === count || undefined,
    () => `not ${count} logins wait`,
  )
