/** The limits on connections, logins and sessions: each triggers, counts what it should, and gives back what has ended. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ClientLimitSettings, ProtocolName } from '../../../src/config/settings.ts'
import type { Ledger } from '../../../src/limits/ledger.ts'
import { buildListenerLimits } from '../../../src/limits/listener-limits.ts'
import { createLimits } from '../../../src/limits/limits.ts'
import { createLocalLedger } from '../../../src/limits/local-ledger.ts'
import {
  isRejection,
  KNOWN,
  type Delay,
  type Known,
  type Lease,
  type Rejection,
} from '../../../src/limits/rejection.ts'
import { clientLimits } from '../listener/listener-settings.ts'

type Who = {
  protocol?: ProtocolName
  listener?: string
  address?: string
  user?: string
  backend?: string
  mailbox?: string
}

/** Limits of one listener. Each call is one client of 192.0.2.1, or of `who`. */
function start(changes: Partial<ClientLimitSettings>, slow = false) {
  let nowMs = 0
  const local = createLocalLedger(() => nowMs)
  const later =
    <A extends unknown[], T>(answer: (...of: A) => T) =>
    (...of: A) =>
      Promise.resolve(answer(...of))
  const ledger: Ledger = slow
    ? {
        ...local,
        takeConnection: later(local.takeConnection),
        askLogin: later(local.askLogin),
        takeSession: later(local.takeSession),
      }
    : local
  const limits = createLimits({ ledger })
  const built = buildListenerLimits(clientLimits(changes))
  const facts = ({
    protocol = 'imap',
    listener = 'imap',
    address = '192.0.2.1',
    user = 'alice@example.test',
  }: Who) => ({
    protocol,
    listener,
    address,
    user,
    limits: built,
  })
  const say = (answer: Rejection | Lease | Delay | Known | undefined): string =>
    isRejection(answer)
      ? `${answer.kind} ${answer.limit}`
      : answer && 'delayMs' in answer
        ? `${answer.delayMs} ms`
        : 'ok'
  const leases: Lease[] = []
  const keep = (answer: Rejection | Lease | undefined): string => {
    if (answer && !isRejection(answer)) leases.push(answer)
    return say(answer)
  }
  return {
    connect: async (who: Who = {}) => keep(await limits.admitConnection(facts(who))),
    login: async (who: Who = {}) => say(await limits.admitLogin(facts(who))),
    session: async (who: Who = {}) => {
      const { backend = 'store1', mailbox = who.user ?? 'alice@example.test' } = who
      return keep(await limits.admitSession({ ...facts(who), backend, mailbox }))
    },
    fail: (who: Who = {}) => limits.loginRefused(facts(who)),
    end: () => leases.shift()?.release(),
    pass: (ms: number) => void (nowMs += ms),
    limits,
    facts,
  }
}

test('without limits nothing is asked and nothing is held', () => {
  assert.equal(buildListenerLimits(clientLimits()), undefined)
  const { limits, facts } = start({})
  assert.equal(limits.admitConnection(facts({})), undefined)
  assert.equal(limits.admitLogin(facts({})), undefined)
  assert.equal(limits.admitSession({ ...facts({}), backend: 'store1', mailbox: 'alice' }), undefined)
})

for (const slow of [false, true]) {
  const where = slow ? ' of another process' : ''

  test(`max_connections is of one listener${where}`, async () => {
    const { connect, end } = start({ maxConnections: 2 }, slow)
    assert.deepEqual(
      [await connect(), await connect({ address: '192.0.2.2' }), await connect({ address: '192.0.2.3' })],
      ['ok', 'ok', 'too-many max_connections'],
    )
    assert.equal(await connect({ listener: 'pop3' }), 'ok')
    end()
    assert.deepEqual([await connect(), await connect()], ['ok', 'too-many max_connections'])
  })

  test(`connections_per_address counts an IPv4 address, or an IPv6 /64, by protocol${where}`, async () => {
    const { connect, end } = start({ connectionsPerAddress: 1 }, slow)
    assert.deepEqual([await connect(), await connect()], ['ok', 'too-many connections_per_address'])
    assert.deepEqual(
      [
        await connect({ listener: 'imaps' }),
        await connect({ protocol: 'pop3' }),
        await connect({ address: '192.0.2.2' }),
      ],
      ['too-many connections_per_address', 'ok', 'ok'],
    )
    assert.deepEqual(
      [
        await connect({ address: '2001:db8::1' }),
        await connect({ address: '2001:db8::2' }),
        await connect({ address: '2001:db8:0:1::1' }),
      ],
      ['ok', 'too-many connections_per_address', 'ok'],
    )
    end()
    assert.equal(await connect(), 'ok')
  })

  test(`connections_per_prefix counts an IPv6 /48 and no IPv4 address${where}`, async () => {
    const { connect } = start({ connectionsPerPrefix: 2 }, slow)
    const of = (subnet: number) => connect({ address: `2001:db8:7:${subnet}::1` })
    assert.deepEqual([await of(1), await of(2), await of(3)], ['ok', 'ok', 'too-many connections_per_prefix'])
    assert.deepEqual([await connect(), await connect(), await connect()], ['ok', 'ok', 'ok'])
  })

  test(`a rejected connection takes nothing of another limit${where}`, async () => {
    const { connect } = start({ maxConnections: 2, connectionsPerAddress: 1 }, slow)
    assert.deepEqual(
      [await connect(), await connect(), await connect(), await connect({ address: '192.0.2.2' })],
      ['ok', 'too-many connections_per_address', 'too-many connections_per_address', 'ok'],
    )
  })

  test(`sessions_per_user, per domain and per back-end user count accepted logins${where}`, async () => {
    const by = async (changes: Partial<ClientLimitSettings>, ...who: Who[]): Promise<string[]> => {
      const { session } = start(changes, slow)
      const answers: string[] = []
      for (const one of who) answers.push(await session(one))
      return answers
    }
    const bob = { user: 'bob@example.test' }
    assert.deepEqual(await by({ sessionsPerUser: 1 }, {}, bob, {}, { protocol: 'pop3' }), [
      'ok',
      'ok',
      'too-many sessions_per_user',
      'ok',
    ])
    assert.deepEqual(await by({ sessionsPerDomain: 2 }, {}, bob, {}, { user: 'carol@example.org' }), [
      'ok',
      'ok',
      'too-many sessions_per_domain',
      'ok',
    ])
    const shared = { mailbox: 'sales' }
    assert.deepEqual(
      await by({ sessionsPerBackendUser: 1 }, shared, { ...bob, ...shared }, bob, { ...shared, backend: 'store2' }),
      ['ok', 'too-many sessions_per_backend_user', 'ok', 'ok'],
    )
  })

  test(`rates of connections and logins are by address, those of a user by accepted logins${where}`, async () => {
    const rate = { count: 2, perMs: 60_000 }
    const { connect, login, session, pass } = start(
      { connectionRate: rate, loginRate: rate, userLoginRate: rate },
      slow,
    )
    assert.deepEqual([await connect(), await connect(), await connect()], ['ok', 'ok', 'too-fast connection_rate'])
    assert.deepEqual([await login(), await login(), await login()], ['ok', 'ok', 'too-fast login_rate'])
    assert.deepEqual([await connect({ address: '192.0.2.2' }), await login({ address: '192.0.2.2' })], ['ok', 'ok'])
    assert.deepEqual([await session(), await session(), await session()], ['ok', 'ok', 'too-fast user_login_rate'])
    pass(30_000)
    assert.deepEqual([await connect(), await login(), await session()], ['ok', 'ok', 'ok'])
  })

  test(`a user at the limit is refused before the back end only at an address that has logged that user in${where}`, async () => {
    const { login, session } = start({ sessionsPerUser: 1, userLoginRate: { count: 9, perMs: 60_000 } }, slow)
    assert.equal(await session(), 'ok')
    assert.equal(await login(), 'too-many sessions_per_user')
    assert.equal(await login({ address: '203.0.113.9' }), 'ok') // or a stranger could tell that the user exists
    assert.equal(await session({ address: '203.0.113.9' }), 'too-many sessions_per_user')
  })

  test(`a penalty delays logins, and its exempt networks not${where}`, async () => {
    const penalty = { after: 1, stepMs: 1000, mostMs: 5000, halfLifeMs: 600_000 }
    const { login, fail } = start({ penalty, exempt: ['198.51.100.0/24'] }, slow)
    for (let n = 0; n < 4; n++) fail()
    const webmail = { address: '198.51.100.7', user: 'bob@example.test' }
    for (let n = 0; n < 4; n++) fail(webmail)
    assert.equal(await login(), '3000 ms')
    assert.equal(await login({ ...webmail, user: 'alice@example.test' }), 'ok')
    assert.equal(await login({ address: '192.0.2.9', user: 'bob@example.test' }), 'ok')
  })
}

test('no limit by address applies to exempt networks, and those of users do', async () => {
  const rate = { count: 1, perMs: 60_000 }
  const { connect, login, session } = start({
    exempt: ['192.0.2.0/24'],
    maxConnections: 3,
    connectionsPerAddress: 1,
    connectionRate: rate,
    loginRate: rate,
    sessionsPerUser: 1,
  })
  assert.deepEqual([await connect(), await connect(), await connect()], ['ok', 'ok', 'ok'])
  assert.equal(await connect(), 'too-many max_connections')
  assert.deepEqual([await login(), await login()], ['ok', 'ok'])
  assert.deepEqual([await session(), await session()], ['ok', 'too-many sessions_per_user'])
})

test('a lease that is released twice counts once', async () => {
  const { limits, facts, connect } = start({ connectionsPerAddress: 2 })
  const [first, second] = [await limits.admitConnection(facts({})), await limits.admitConnection(facts({}))]
  assert.ok(first && second && !isRejection(first) && !isRejection(second))
  first.release()
  first.release()
  assert.deepEqual([await connect(), await connect()], ['ok', 'too-many connections_per_address'])
})

const ALWAYS_DELAYED = { after: 0, stepMs: 1000, mostMs: 5000, halfLifeMs: 600_000 }

for (const slow of [false, true])
  test(`a user is known at the networks that have logged that user in, until failures there delay it${slow ? ', in another process' : ''}`, async () => {
    const { limits, facts, session, fail, login } = start({ penalty: ALWAYS_DELAYED }, slow)
    const ask = async (who: Who = {}) => limits.admitLogin(facts(who))
    assert.equal(await ask(), undefined)
    await session()
    await session({ address: '2001:db8::1' })
    assert.deepEqual(
      [await ask(), await ask({ address: '2001:db8::2' }), await ask({ protocol: 'pop3' })],
      [KNOWN, KNOWN, KNOWN],
    )
    assert.deepEqual([await ask({ address: '192.0.2.2' }), await ask({ user: 'bob' })], [undefined, undefined])
    fail({ address: '192.0.2.2' })
    assert.deepEqual(await ask(), KNOWN)
    fail()
    assert.equal(await login(), '1000 ms')
  })

test('a user is known without a penalty where logins are limited', async () => {
  const { limits, facts, session } = start({ sessionsPerUser: 3 })
  await session()
  assert.deepEqual(await limits.admitLogin(facts({})), KNOWN)
})

test('no more than 5000 logins are delayed at a time, and further ones go on at once', async () => {
  const { limits, facts, login, fail } = start({ penalty: ALWAYS_DELAYED })
  const guessers = Array.from({ length: 51 }, (_, n) => ({ address: `198.51.100.${n}`, user: `user${n}` }))
  for (const guesser of guessers) fail(guesser)
  const last = guessers.at(-1)
  const delays: Delay[] = []
  for (const guesser of guessers.slice(0, 50))
    for (let n = 0; n < 100; n++) delays.push((await limits.admitLogin(facts(guesser))) as Delay)
  assert.ok(delays.every((delay) => delay.delayMs === 1000))
  assert.equal(await login(last), 'ok')
  delays[0]?.release()
  delays[0]?.release()
  assert.deepEqual([await login(last), await login(last)], ['1000 ms', 'ok'])
})

test('no more than 100 logins of one network are delayed at a time, and further ones are rejected', async () => {
  const { limits, facts, login, fail } = start({ penalty: ALWAYS_DELAYED })
  const other = { address: '203.0.113.1', user: 'bob@example.test' }
  fail()
  fail(other)
  const delays: Delay[] = []
  for (let n = 0; n < 100; n++) delays.push((await limits.admitLogin(facts({ user: `user${n}` }))) as Delay)
  assert.ok(delays.every((delay) => delay.delayMs === 1000))
  assert.equal(await login(), 'too-fast penalty')
  assert.equal(await login(other), '1000 ms')
  delays[0]?.release()
  delays[0]?.release()
  assert.deepEqual([await login(), await login()], ['1000 ms', 'too-fast penalty'])
})

test('no more than 1000 logins of one IPv6 /48 are delayed at a time, and further ones are rejected', async () => {
  const { limits, facts, login, fail } = start({ penalty: ALWAYS_DELAYED })
  const guesser = (n: number) => ({ address: `2001:db8:0:${n.toString(16)}::1`, user: `user${n}` })
  for (let n = 0; n < 12; n++) fail(guesser(n))
  for (let n = 0; n < 10; n++)
    for (let one = 0; one < 100; one++) assert.ok(!isRejection(await limits.admitLogin(facts(guesser(n)))))
  assert.equal(await login(guesser(11)), 'too-fast penalty')
})

test('the detail of a rejection names the limit', async () => {
  const { limits, facts } = start({ sessionsPerUser: 3, loginRate: { count: 1, perMs: 60_000 } })
  await limits.admitLogin(facts({}))
  const second = await limits.admitLogin(facts({}))
  assert.ok(isRejection(second))
  assert.equal(second.detail, 'login_rate: 1 in 60000 ms have come; the next may come in 60000 ms')
})
