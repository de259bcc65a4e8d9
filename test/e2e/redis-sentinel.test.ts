/** Routes in a Redis that Sentinels watch over, in TLS and with credentials from files: a failover under logins, by order and by a master that hangs. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { arrive, nobodyWentAstray, PROTOCOLS, routeTo } from '../support/arrivals.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { documentedAcl, documentedSentinelAcl } from '../support/documented-acl.ts'
import { MASTER_NAME, startWatchedRedis, type WatchedRedis } from '../support/redis-sentinel.ts'
import type { Redis } from '../support/redis.ts'
import { HOMES, type Site, startSite } from '../support/site.ts'

const [ALICE, BOB, CAROL] = ['alice@example.test', 'bob@example.test', 'carol@example.test'] as const

let site: Site
let watched: WatchedRedis
before(async () => {
  site = await startSite({
    directory: async (scene, authority) => {
      const { certFile, keyFile } = await authority.issue('redis')
      const { caFile } = authority
      watched = await startWatchedRedis(scene, {
        tls: { certFile, keyFile, caFile, clientCertificates: 'no' },
        args: ['--user', 'mailmux', ...documentedAcl('of-redis')],
        sentinel: [`user mailmux ${documentedSentinelAcl('of-sentinels').join(' ')}`],
      })
      await writeFile(join(scene.directory, 'redis.password'), 'of-redis\n')
      await writeFile(join(scene.directory, 'sentinel.password'), 'of-sentinels\n')
      const { addresses } = watched
      return {
        redis: {
          sentinels: { name: MASTER_NAME, addresses, username: 'mailmux', password_file: 'sentinel.password' },
          username: 'mailmux',
          password_file: 'redis.password',
          tls: { ca_file: caFile },
        },
      }
    },
  })
})
after(() => site.close())

/** How often mailmux has come to be connected so far. */
const connections = (): number => site.mailmux.log().filter(({ msg }) => msg === 'directory connected').length

const lookups = async (source: string): Promise<number> =>
  (await site.mailmux.metric(`mailmux_route_lookups_total{source="${source}"}`)) ?? 0

/** Waits until what is remembered counts again: a login is answered from memory. Each must lead to `store`. */
async function isRemembered(user: string, store: string): Promise<void> {
  await until(
    START_DEADLINE_MS,
    async () => {
      const before = await lookups('cache')
      assert.equal((await arrive(site, 'imap', user)).at, store)
      return (await lookups('cache')) > before || undefined
    },
    () => 'what is remembered is not trusted',
  )
}

/** What mailmux has logged last, for the message of a failed assertion. */
const lastLines = (): string => site.mailmux.program.stdout().split('\n').slice(-30).join('\n')

/** Logs users in without a pause, by both protocols, until `what` is over; all of them must arrive at `store`. */
async function underLogins(user: string, store: string, what: () => Promise<void>): Promise<number> {
  let over = false
  let logins = 0
  const keepLoggingIn = PROTOCOLS.map(async (protocol) => {
    while (!over) {
      const { at } = await arrive(site, protocol, user)
      assert.equal(at, store, `login ${logins + 1} led to: ${at}\n${lastLines()}`)
      logins++
    }
  })
  try {
    await what()
  } finally {
    over = true
    await Promise.all(keepLoggingIn)
  }
  return logins
}

/** Writes the routes of both users, and has mailmux read and remember them: an outage is no time for the first login of a user. */
async function beginWith(master: Redis, staying: string, moving: string): Promise<void> {
  await master.command(...routeTo('staying@example.test', staying))
  await master.command(...routeTo('moving@example.test', moving))
  await isRemembered('staying@example.test', HOMES[staying]!)
  await isRemembered('moving@example.test', HOMES[moving]!)
}

async function follows(replica: Redis, user: string): Promise<void> {
  await until(
    START_DEADLINE_MS,
    async () => (await replica.command('EXISTS', `mailmux:user:${user}`)) === '1' || undefined,
    () => 'the replica does not follow',
  )
}

test('is asked through its Sentinels, and reports each change', async () => {
  const master = await watched.master()
  for (const [mailbox, store] of [
    [ALICE, 'store1'],
    [BOB, 'store2'],
    [CAROL, 'store3'],
  ] as const) {
    await master.command(...routeTo('moving@example.test', mailbox))
    for (const protocol of PROTOCOLS) assert.equal((await arrive(site, protocol, 'moving@example.test')).at, store)
  }
  await isRemembered('moving@example.test', 'store3')
})

test('fails over under logins, and a route that is written on the new master counts at the next', async () => {
  const [first, second] = watched.redises
  assert.equal(await watched.master(), first)
  await beginWith(first, ALICE, BOB)
  await follows(second, 'staying@example.test')
  const before = connections()
  const logins = await underLogins('staying@example.test', 'store1', async () => {
    assert.equal(await watched.failOver(), second)
    await until(
      START_DEADLINE_MS,
      () => connections() > before || undefined,
      () => 'mailmux does not go to the new master',
    )
  })
  assert.ok(logins > 0)
  await second.command(...routeTo('moving@example.test', CAROL))
  for (const protocol of PROTOCOLS) assert.equal((await arrive(site, protocol, 'moving@example.test')).at, 'store3')
  await isRemembered('moving@example.test', 'store3')
  // The new master's own word, not one that only the first answer after the failover could have brought.
  await second.command(...routeTo('moving@example.test', ALICE))
  assert.equal((await arrive(site, 'imap', 'moving@example.test')).at, 'store1')
})

test('follows when the master hangs, and is not led back by the old one when it wakes', async () => {
  const [first, second] = watched.redises
  if ((await watched.master()) === first) await watched.failOver()
  await beginWith(second, ALICE, ALICE)
  await until(
    START_DEADLINE_MS,
    // A server that becomes a replica hangs up on its clients.
    async () =>
      (await first.command('INFO', 'replication').catch(() => '')).includes('master_link_status:up') || undefined,
    () => 'the old master does not follow the new',
  )
  const before = connections()
  second.pause()
  try {
    await underLogins('staying@example.test', 'store1', async () => {
      await watched.becomesMaster(first)
      await until(
        START_DEADLINE_MS,
        () => connections() > before || undefined,
        () => 'mailmux does not go to the new master',
      )
    })
    await first.command(...routeTo('moving@example.test', BOB))
    for (const protocol of PROTOCOLS) assert.equal((await arrive(site, protocol, 'moving@example.test')).at, 'store2')
  } finally {
    second.resume()
  }
  await until(
    2 * START_DEADLINE_MS,
    async () => {
      assert.equal((await arrive(site, 'imap', 'moving@example.test')).at, 'store2')
      // A server that becomes a replica hangs up on its clients.
      return (await second.command('ROLE').catch(() => '')).startsWith('slave') || undefined
    },
    () => 'the old master is not demoted',
  )
  await first.command(...routeTo('moving@example.test', CAROL))
  for (const protocol of PROTOCOLS) assert.equal((await arrive(site, protocol, 'moving@example.test')).at, 'store3')
})

test('connected no user to a wrong store in all of this, and logged no password', () => {
  nobodyWentAstray(site)
  const written = site.mailmux.program.stdout() + site.mailmux.program.stderr()
  assert.doesNotMatch(written, /of-redis|of-sentinels/u)
})
