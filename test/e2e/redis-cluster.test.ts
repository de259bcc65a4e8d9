/**
 * Routes in a Redis Cluster, in TLS and with credentials from files: on every master, with changes reported by each. A lost master affects
 * only its own routes.
 */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { arrive, nobodyWentAstray, PROTOCOLS, routeTo } from '../support/arrivals.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { documentedAcl } from '../support/documented-acl.ts'
import { type RedisCluster, startRedisCluster } from '../support/redis-cluster.ts'
import { type Site, startSite } from '../support/site.ts'

const [ALICE, BOB, CAROL] = ['alice@example.test', 'bob@example.test', 'carol@example.test'] as const

let site: Site
let cluster: RedisCluster
before(async () => {
  site = await startSite({
    directory: async (scene, authority) => {
      const { certFile, keyFile } = await authority.issue('redis', { usage: 'serverAuth,clientAuth' })
      const { caFile } = authority
      cluster = await startRedisCluster(scene, {
        replicas: true,
        tls: { certFile, keyFile, caFile, clientCertificates: 'no' },
        args: ['--user', 'mailmux', ...documentedAcl('of-redis', 'Cluster')],
      })
      await writeFile(join(scene.directory, 'redis.password'), 'of-redis\n')
      return {
        redis: {
          nodes: cluster.nodes.slice(0, 2),
          username: 'mailmux',
          password_file: 'redis.password',
          tls: { ca_file: caFile },
        },
      }
    },
  })
})
after(() => site.close())

const lookups = async (source: string): Promise<number> =>
  (await site.mailmux.metric(`mailmux_route_lookups_total{source="${source}"}`)) ?? 0

const keyOf = (user: string): string => `mailmux:user:${user}`

/** A user of this name and a number whose route one master holds. */
async function userOn(master: number, name: string): Promise<string> {
  for (let number = 0; ; number++) {
    const user = `${name}${number}@example.test`
    if ((await cluster.homeOf(keyOf(user))) === master) return user
  }
}

const usersOnAll = (name: string): Promise<string[]> =>
  Promise.all(cluster.masters.map((_, master) => userOn(master, name)))

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

/** Each master's user is moved about, and each move must count at the next login. */
async function eachMasterTells(users: readonly string[]): Promise<void> {
  for (const user of users) {
    for (const [mailbox, store] of [
      [ALICE, 'store1'],
      [BOB, 'store2'],
      [CAROL, 'store3'],
    ] as const) {
      await cluster.command(...routeTo(user, mailbox))
      assert.equal((await arrive(site, 'imap', user)).at, store, user)
      assert.equal((await arrive(site, 'pop3', user)).at, store, user)
    }
  }
}

test('is asked on the master that holds the route, and each master reports its changes', async () => {
  const users = await usersOnAll('moving')
  await eachMasterTells(users)
  for (const user of users) await isRemembered(user, 'store3')
  await eachMasterTells(users)
})

test('takes the data for lost where one master is flushed, until that is accepted', async () => {
  const [user, other] = await usersOnAll('flushed')
  for (const one of [user!, other!]) {
    await cluster.command(...routeTo(one, ALICE))
    await isRemembered(one, 'store1')
  }
  await cluster.masters[0]!.command('FLUSHALL')
  for (const one of [user!, other!]) assert.equal((await arrive(site, 'imap', one)).at, 'store1')
  assert.equal((await arrive(site, 'imap', await userOn(0, 'cold'))).at, 'come back later')
  await site.mailmux.waitForLog(({ msg }) => msg === 'directory has lost its data', 'the loss')
  await cluster.command('HDEL', 'mailmux:marker', 'lost')
  await until(
    START_DEADLINE_MS,
    async () => (await site.mailmux.metric('mailmux_directory_up')) === 1 || undefined,
    () => 'the acceptance is not noticed',
  )
  assert.equal((await arrive(site, 'imap', user!)).at, 'wrong password')
  assert.equal((await arrive(site, 'imap', other!)).at, 'store1')
})

test('is followed where a slot moves to another master, and to one that is new', async () => {
  const user = await userOn(0, 'resharded')
  await cluster.command(...routeTo(user, ALICE))
  await isRemembered(user, 'store1')
  const [first, second] = cluster.masters
  const slot = await cluster.slotOf(keyOf(user))
  await cluster.moveSlot(slot, first!, second!)
  assert.equal((await arrive(site, 'imap', user)).at, 'store1')
  await second!.command(...routeTo(user, BOB))
  assert.equal((await arrive(site, 'imap', user)).at, 'store2')
  await isRemembered(user, 'store2')

  const added = await cluster.addNode()
  await cluster.moveSlot(slot, second!, added)
  assert.equal((await arrive(site, 'pop3', user)).at, 'store2')
  await isRemembered(user, 'store2')
  await added.command(...routeTo(user, CAROL))
  assert.equal((await arrive(site, 'pop3', user)).at, 'store3')
})

test('fails over by order, and the new master reports its changes', async () => {
  const users = await usersOnAll('failover')
  for (const user of users) {
    await cluster.command(...routeTo(user, ALICE))
    await isRemembered(user, 'store1')
  }
  await cluster.promote(cluster.replicas[1]!)
  for (const protocol of PROTOCOLS) assert.equal((await arrive(site, protocol, users[1]!)).at, 'store1')
  await eachMasterTells(users)
  for (const user of users) await isRemembered(user, 'store3')
  await eachMasterTells(users)
})

test('loses a master that has no replica: its users keep their remembered route, and other users are not affected', async () => {
  const [gone, ...others] = await usersOnAll('orphaned')
  const [cold] = await usersOnAll('unheard')
  for (const user of [gone!, cold!, ...others]) await cluster.command(...routeTo(user, ALICE))
  for (const user of [gone!, ...others]) await isRemembered(user, 'store1')
  await cluster.replicas[0]!.stop()
  await cluster.masters[0]!.kill()
  for (const protocol of PROTOCOLS) {
    const [known, unheard] = await Promise.all([arrive(site, protocol, gone!), arrive(site, protocol, cold!)])
    assert.deepEqual([known.at, unheard.at], ['store1', 'come back later'])
    for (const { ms } of [known, unheard]) assert.ok(ms < 2500, `${ms} ms`)
    for (const user of others) assert.equal((await arrive(site, protocol, user)).at, 'store1')
  }
  // Changes of the others count, though not every master can be heard.
  for (const user of others) {
    await cluster.command(...routeTo(user, BOB))
    for (const protocol of PROTOCOLS) assert.equal((await arrive(site, protocol, user)).at, 'store2')
  }
  const before = await lookups('stale')
  assert.equal((await arrive(site, 'imap', gone!)).at, 'store1')
  assert.ok((await lookups('stale')) > before)
  const node = cluster.nodes[0]
  await site.mailmux.waitForLog(
    (line) => line.msg === 'directory node unavailable' && line.node === node,
    'who is away',
  )

  await cluster.masters[0]!.restart() // without data, but with its slots
  await until(
    2 * START_DEADLINE_MS,
    async () => (await site.mailmux.metric('mailmux_directory_data_lost')) || undefined,
    () => 'it is not noticed that the master has lost its data',
  )
  await cluster.command('HDEL', 'mailmux:marker', 'lost')
  await until(
    2 * START_DEADLINE_MS,
    async () => {
      const { at } = await arrive(site, 'imap', cold!)
      assert.ok(at === 'come back later' || at === 'wrong password', at)
      return at === 'wrong password' || undefined
    },
    () => 'the master that has come back is not asked',
  )
  await cluster.command(...routeTo(cold!, CAROL))
  assert.equal((await arrive(site, 'imap', cold!)).at, 'store3')
  await isRemembered(cold!, 'store3')
  await site.mailmux.waitForLog((line) => line.msg === 'directory node connected' && line.node === node, 'who is back')
})

test('connected no user to a wrong store in all of this, and logged no password', () => {
  nobodyWentAstray(site)
  assert.doesNotMatch(site.mailmux.program.stdout() + site.mailmux.program.stderr(), /of-redis/u)
})
