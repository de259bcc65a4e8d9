/**
 * Logins while Redis is stopped, hung, killed, slow, failing over, flushed or poisoned. A user with a remembered route keeps the store.
 * Any other user gets a temporary failure in good time, never "wrong password". No user is connected to a wrong store.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { arrive, nobodyWentAstray, PROTOCOLS, routeTo } from '../support/arrivals.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import type { MailProtocol } from '../support/mail-client.ts'
import { startWatchedRedis, MASTER_NAME, type WatchedRedis } from '../support/redis-sentinel.ts'
import { type Redis, startRedis } from '../support/redis.ts'
import { type Site, startSite } from '../support/site.ts'

/** `directory.redis.timeout` is 500 ms; the rest is for the machine, the TLS and the tests beside this one. */
const ANSWER_MS = 2500

const ALICE = 'alice@example.test' // at home on store1
const BOB = 'bob@example.test' // at home on store2

/** Two users that no other test has: one whose route is remembered when the outage begins, and one that has never logged in. */
async function makeUsers(
  site: Site,
  what: string,
  command: Redis['command'],
): Promise<Record<MailProtocol, { known: string; cold: string }>> {
  const usersOf = async (protocol: MailProtocol) => {
    const [known, cold] = [`known-${what}-${protocol}@example.test`, `cold-${what}-${protocol}@example.test`]
    await command(...routeTo(known, ALICE))
    await command(...routeTo(cold, BOB))
    assert.equal((await arrive(site, protocol, known)).at, 'store1')
    return { known, cold }
  }
  return { imap: await usersOf('imap'), pop3: await usersOf('pop3') }
}

const lookups = async (site: Site, source: string): Promise<number> =>
  (await site.mailmux.metric(`mailmux_route_lookups_total{source="${source}"}`)) ?? 0

/** Logs in until the user reaches the store; until then only a temporary failure is allowed. */
async function comesHome(site: Site, protocol: MailProtocol, user: string, store: string): Promise<void> {
  await until(
    2 * START_DEADLINE_MS,
    async () => {
      const { at } = await arrive(site, protocol, user)
      if (at === store) return true
      assert.equal(at, 'come back later')
      return undefined
    },
    () => `${user} does not come home`,
  )
}

describe('a Redis', () => {
  let site: Site
  let redis: Redis
  before(async () => {
    site = await startSite({
      directory: async (scene) => {
        redis = await startRedis(scene, { durable: true })
        return { redis: { url: redis.url } }
      },
    })
  })
  after(() => site.close())

  /** What happens to it, and how it ends; `hangs`: what is asked of it is not refused but left unanswered. */
  const OUTAGES: Record<
    string,
    { strike: () => Promise<void> | void; heal: () => Promise<void> | void; hangs: boolean }
  > = {
    stopped: { strike: () => redis.stop(), heal: () => redis.restart(), hangs: false },
    killed: { strike: () => redis.kill(), heal: () => redis.restart(), hangs: false },
    hung: { strike: () => redis.pause(), heal: () => redis.resume(), hangs: true },
  }

  for (const [what, { strike, heal, hangs }] of Object.entries(OUTAGES)) {
    test(`that is ${what} leaves users with a remembered route at their store, and the others get a temporary failure`, async () => {
      const users = await makeUsers(site, what, redis.command)
      await strike()
      try {
        await Promise.all(
          PROTOCOLS.map(async (protocol) => {
            const { known, cold } = users[protocol]
            const [first, second] = await Promise.all([arrive(site, protocol, known), arrive(site, protocol, cold)])
            assert.deepEqual([first.at, second.at], ['store1', 'come back later'])
            for (const { ms } of [first, second]) assert.ok(ms < ANSWER_MS, `${protocol}: ${ms} ms`)
            if (hangs) assert.ok(second.ms > 400, `${second.ms} ms: it was not waited for`)
          }),
        )
        // Until mailmux notices that Redis reports no changes any more. After that the route is used as a stand-in, and counted so.
        const before = await lookups(site, 'stale')
        await until(
          START_DEADLINE_MS,
          async () => {
            const { at, ms } = await arrive(site, 'imap', users.imap.known)
            assert.equal(at, 'store1')
            assert.ok(ms < ANSWER_MS, `${ms} ms`)
            return (await lookups(site, 'stale')) > before || undefined
          },
          () => 'the loss of Redis is not noticed',
        )
      } finally {
        await heal()
      }
      for (const protocol of PROTOCOLS) {
        await comesHome(site, protocol, users[protocol].cold, 'store2')
        assert.equal((await arrive(site, protocol, users[protocol].known)).at, 'store1')
      }
    })
  }

  test('that answers 2 seconds late is away for users without a remembered route, and no longer than that', async () => {
    const users = await makeUsers(site, 'slow', redis.command)
    await redis.command('CLIENT', 'PAUSE', '2000', 'ALL')
    const awake = redis.command('PING') // answered when the pause is over
    await Promise.all(
      PROTOCOLS.map(async (protocol) => {
        const { known, cold } = users[protocol]
        const [first, second] = await Promise.all([arrive(site, protocol, known), arrive(site, protocol, cold)])
        assert.deepEqual([first.at, second.at], ['store1', 'come back later'])
        for (const { ms } of [first, second]) assert.ok(ms < ANSWER_MS, `${protocol}: ${ms} ms`)
      }),
    )
    await awake
    for (const protocol of PROTOCOLS) await comesHome(site, protocol, users[protocol].cold, 'store2')
  })

  test('that is flushed has lost its data: remembered users keep their store, the others come back later until it is accepted', async () => {
    const users = await makeUsers(site, 'flushed', redis.command)
    await redis.command('FLUSHALL')
    for (const protocol of PROTOCOLS) {
      const { known, cold } = users[protocol]
      assert.equal((await arrive(site, protocol, known)).at, 'store1')
      assert.equal((await arrive(site, protocol, cold)).at, 'come back later')
    }
    await site.mailmux.waitForLog(({ msg }) => msg === 'directory has lost its data', 'the loss')
    assert.equal(await site.mailmux.metric('mailmux_directory_data_lost'), 1)
    assert.equal(await site.mailmux.metric('mailmux_directory_up'), 0)
    await redis.command('HDEL', 'mailmux:marker', 'lost')
    await until(
      START_DEADLINE_MS,
      async () => (await site.mailmux.metric('mailmux_directory_up')) === 1 || undefined,
      () => 'the acceptance is not noticed',
    )
    for (const protocol of PROTOCOLS) {
      const { known, cold } = users[protocol]
      for (const user of [known, cold]) assert.equal((await arrive(site, protocol, user)).at, 'wrong password')
    }
  })

  const POISON: Record<string, { words: string[]; fault: string }> = {
    'a back end that the routing file does not name': {
      words: ['HSET', 'KEY', 'backend', 'evil.example.net'],
      fault: 'unknown-backend',
    },
    'a back end with control characters': {
      words: ['HSET', 'KEY', 'backend', 'store1\r\n\u001b[31m'],
      fault: 'unknown-backend',
    },
    'a login name with control characters': {
      words: ['HSET', 'KEY', 'login', 'alice@example.test\r\nx LOGOUT'],
      fault: 'bad-login',
    },
    'an unknown status': { words: ['HSET', 'KEY', 'status', 'gone'], fault: 'bad-status' },
    'no back end': { words: ['HDEL', 'KEY', 'backend'], fault: 'no-backend' },
    'a field of 100 kB': { words: ['HSET', 'KEY', 'login', 'x'.repeat(100_000)], fault: 'oversized' },
    'a text in place of a hash': { words: ['SET', 'KEY', 'store2'], fault: 'wrong-type' },
  }

  for (const [what, { words, fault }] of Object.entries(POISON)) {
    test(`that holds ${what} connects no user to any store`, async () => {
      const users = await makeUsers(site, 'poisoned', redis.command)
      const everybody = PROTOCOLS.flatMap((protocol) =>
        [users[protocol].known, users[protocol].cold].map((user) => ({ protocol, user })),
      )
      for (const { user } of everybody) {
        await redis.command(...words.map((word) => (word === 'KEY' ? `mailmux:user:${user}` : word)))
      }
      const series = `mailmux_routes_refused_total{reason="${fault}"}`
      const before = (await site.mailmux.metric(series)) ?? 0
      for (const { protocol, user } of everybody) {
        assert.equal((await arrive(site, protocol, user)).at, 'misconfigured')
      }
      assert.equal(await site.mailmux.metric(series), before + everybody.length)
      const lines = site.mailmux.log().filter(({ msg, fault: its }) => msg === 'route refused' && its === fault)
      assert.equal(lines.length, 1)
      for (const { user } of everybody) await redis.command('DEL', `mailmux:user:${user}`)
      for (const { protocol, user } of everybody) {
        await redis.command(...routeTo(user, ALICE))
        assert.equal((await arrive(site, protocol, user)).at, 'store1')
      }
    })
  }

  test('connected no user to a wrong store in all of this', () => nobodyWentAstray(site))
})

describe('a master that dies under its Sentinels', () => {
  let site: Site
  let watched: WatchedRedis
  before(async () => {
    site = await startSite({
      directory: async (scene) => {
        watched = await startWatchedRedis(scene)
        return { redis: { sentinels: { name: MASTER_NAME, addresses: watched.addresses } } }
      },
    })
  })
  after(() => site.close())

  test('leaves users with a remembered route at their store, and the others get a temporary failure for a while', async () => {
    const [master, replica] = watched.redises
    const users = await makeUsers(site, 'failover', master.command)
    await until(
      START_DEADLINE_MS,
      async () => (await replica.command('EXISTS', `mailmux:user:${users.pop3.cold}`)) === '1' || undefined,
      () => 'the replica does not follow',
    )
    await master.kill()
    const told = new Set<string>()
    await Promise.all(
      PROTOCOLS.map(async (protocol) => {
        const { known, cold } = users[protocol]
        await until(
          2 * START_DEADLINE_MS,
          async () => {
            const [first, second] = await Promise.all([arrive(site, protocol, known), arrive(site, protocol, cold)])
            assert.equal(first.at, 'store1')
            for (const { ms } of [first, second]) assert.ok(ms < ANSWER_MS, `${protocol}: ${ms} ms`)
            told.add(second.at)
            return second.at === 'store2' || undefined
          },
          () => 'the new master is not asked',
        )
      }),
    )
    assert.deepEqual([...told].sort(), ['come back later', 'store2'])
    assert.equal(await watched.master(), replica)
    await replica.command(...routeTo(users.imap.known, BOB, 'store2'))
    assert.equal((await arrive(site, 'imap', users.imap.known)).at, 'store2')
  })

  test('connected no user to a wrong store', () => nobodyWentAstray(site))
})
