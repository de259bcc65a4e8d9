/** A reload that replaces the directory while clients log in. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { parse, stringify } from 'yaml'
import { MAIN } from '../support/command.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import type { YamlMap } from '../support/mailmux.ts'
import { startRedis, type Redis } from '../support/redis.ts'
import { startRedisCluster } from '../support/redis-cluster.ts'
import { MASTER_NAME, startWatchedRedis } from '../support/redis-sentinel.ts'
import { freePort } from '../support/ports.ts'
import { run } from '../support/run.ts'
import { MAILMUX_RUNTIME } from '../support/runtime.ts'
import { PASSWORD, startSite, type Site } from '../support/site.ts'
import { startSteadyClients } from '../support/steady-clients.ts'

const ALICE = 'alice@example.test'

async function start(t: TestContext, workers: number) {
  const site = await startSite({
    redis: true,
    mailmux: { adminToken: 'open-sesame-open-sesame', settings: { workers } },
  })
  t.after(() => site.close())
  const { code, stderr } = await reload(site, redisAt(site.redis!)) // follows no change of its files from now on
  assert.equal(code, 0, stderr)
  const second = await startRedis(site.scene)
  await second.command('HSET', `mailmux:user:${ALICE}`, 'backend', 'store2')
  return { site, second, first: site.redis! }
}

const command = ({ mailmux }: Site, ...words: string[]) =>
  run(MAILMUX_RUNTIME, [MAIN, ...words, '-c', mailmux.configFile])

/** @returns the exit code of `mailmux reload`, and what it has printed */
async function reload(site: Site, directory: YamlMap) {
  const { configFile } = site.mailmux
  const { settle: _, ...main } = parse(await readFile(configFile, 'utf8')) as YamlMap
  await writeFile(configFile, stringify({ ...main, reload: 'signal', directory }))
  return command(site, 'reload')
}

const redisAt = (redis: Pick<Redis, 'url'>, more: YamlMap = {}): YamlMap => ({
  redis: { url: redis.url, prefix: 'mailmux:', timeout: '500ms', ...more },
})

/** Connections that are neither of this command nor of replicas, masters and Sentinels. */
const clientsOf = async (redis: Redis): Promise<number> =>
  (await redis.command('CLIENT', 'LIST'))
    .split('\n')
    .filter((line) => line !== '' && !/cmd=client| name=sentinel-| flags=[SM] /u.test(line)).length

for (const workers of [1, 2])
  test(`replaces one Redis by another under load, with ${workers} worker(s)`, async (t) => {
    const { site, first, second } = await start(t, workers)
    await second.command('HSET', `mailmux:user:${ALICE}`, 'backend', 'store1')
    const clients = await startSteadyClients(() => site.open('imap', 'implicit'), {
      user: ALICE,
      password: PASSWORD,
      sessions: 5,
      loginsPerSecond: 20,
    })
    for (const [redis, port] of [
      [second, second.port],
      [first, first.port],
      [second, second.port],
    ] as const) {
      const { code, stdout, stderr } = await reload(site, redisAt(redis))
      assert.equal(code, 0, stderr)
      assert.match(stdout, /directory: servers/, String(port))
    }
    const tally = await clients.stop()
    assert.deepEqual(
      { refused: tally.refused, failed: tally.failed, cut: tally.cut, errors: tally.errors },
      { refused: 0, failed: 0, cut: 0, errors: [] },
    )
    assert.ok(tally.logins > 10, String(tally.logins))
    assert.equal(await site.mailmux.metric('mailmux_directory_up'), 1)
    await until(
      START_DEADLINE_MS,
      async () => (await clientsOf(first)) === 0 || undefined,
      () => 'connections to the old Redis are left',
    )
    await second.command('HSET', `mailmux:user:${ALICE}`, 'backend', 'store3')
    await until(
      START_DEADLINE_MS,
      async () => (await storeOf(site)).includes('store3') || undefined,
      () => 'the changes of the new Redis are not heard',
    )
    const instances = await command(site, 'instances')
    assert.equal(instances.code, 0, instances.stderr)
    await until(
      START_DEADLINE_MS,
      async () => (await second.command('ZCARD', 'mailmux:instances')) !== '0' || undefined,
      () => 'it has not joined the new site',
    )
    assert.equal(await first.command('ZCARD', 'mailmux:instances'), '0', 'it has left the old site in order')
  })

test('refuses a Redis that cannot be reached, and keeps the one in force', async (t) => {
  const { site, first } = await start(t, 2)
  const broken = { url: `redis://127.0.0.1:${await freePort()}` }
  const { code, stderr } = await reload(site, redisAt(broken))
  assert.equal(code, 1)
  assert.match(stderr, /the new directory cannot be used: .*ECONNREFUSED/)
  assert.match(await storeOf(site), /store1/)
  assert.equal(await site.mailmux.metric('mailmux_directory_up'), 1)
  assert.equal(await site.mailmux.metric('mailmux_config_last_reload_successful'), 0)
  const explained = await command(site, 'explain', ALICE)
  assert.match(explained.stdout, /the new directory cannot be used/)
  assert.ok(!site.mailmux.log().some(({ msg }) => msg === 'directory unavailable'), 'the one in force was there')
  const again = await reload(site, redisAt(first))
  assert.equal(again.code, 0, again.stderr)
})

test('uses no route that it remembers of the old Redis', async (t) => {
  const { site, second } = await start(t, 2)
  assert.match(await storeOf(site), /store1/)
  assert.equal((await reload(site, redisAt(second))).code, 0)
  assert.match(await storeOf(site), /store2/)
  await second.kill()
  const client = await site.open('imap', 'implicit')
  const { accepted } = await client.login('carol@example.test', PASSWORD)
  assert.equal(accepted, false, 'the old Redis has a route of carol, which no one has read there')
})

test('changes from the routing file to Redis and back, with the blocks of operators', async (t) => {
  const { site, second } = await start(t, 2)
  assert.equal((await command(site, 'block', 'eve@example.test')).code, 0)
  assert.equal((await reload(site, { static: {} })).code, 0)
  assert.match((await command(site, 'blocks')).stdout, /eve@example\.test/)
  const client = await site.open('imap', 'implicit')
  assert.equal((await client.login(ALICE, PASSWORD)).accepted, false, 'the routing file has no route')
  assert.equal((await reload(site, redisAt(second))).code, 0)
  assert.match((await command(site, 'blocks')).stdout, /eve@example\.test/)
  assert.match(await second.command('HKEYS', 'mailmux:blocks'), /eve@example\.test/)
  assert.match(await storeOf(site), /store2/)
})

test('changes to Sentinels, to a Cluster, to an auth server, and back', async (t) => {
  const { site, first } = await start(t, 2)
  const [watched, cluster] = await Promise.all([startWatchedRedis(site.scene), startRedisCluster(site.scene)])
  const key = `mailmux:user:${ALICE}`
  await watched.redises[0].command('HSET', key, 'backend', 'store2')
  await cluster.command('HSET', key, 'backend', 'store3')
  const server = createServer((_request, response) =>
    response
      .writeHead(200, {
        'Auth-Status': 'OK',
        'Auth-Server': '127.0.0.1',
        'Auth-Port': site.stores.store2.ports.imap,
      })
      .end(),
  )
  server.listen({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  site.scene.closeLater(() => {
    server.close()
    server.closeAllConnections()
  })
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/auth`
  for (const [directory, store] of [
    [{ redis: { sentinels: { name: MASTER_NAME, addresses: watched.addresses } } }, 'store2'],
    [{ redis: { nodes: cluster.nodes } }, 'store3'],
    [{ auth_http: { url } }, 'store2'],
    [redisAt(first), 'store1'],
  ] as const) {
    const { code, stderr } = await reload(site, directory)
    assert.equal(code, 0, stderr)
    assert.ok((await storeOf(site)).includes(store), JSON.stringify(directory))
    assert.equal(await site.mailmux.metric('mailmux_directory_up'), 1)
  }
  const refused = await reload(site, { auth_http: { url: `http://127.0.0.1:${await freePort()}/auth` } })
  assert.deepEqual([refused.code, /the new directory cannot be used: .*ECONNREFUSED/.test(refused.stderr)], [1, true])
  for (const redis of [...watched.redises, ...cluster.masters])
    await until(
      START_DEADLINE_MS,
      async () => (await clientsOf(redis)) === 0 || undefined,
      () => 'connections to a Redis that is not used any more are left',
    )
})

/** @returns the subjects in the mailbox, which name the store */
async function storeOf(site: Site): Promise<string> {
  const client = await site.open('imap', 'implicit')
  const { accepted, answer } = await client.login(ALICE, PASSWORD)
  assert.ok(accepted, answer)
  const where = await client.subjects()
  client.peer.destroy()
  return where.join(' ')
}
