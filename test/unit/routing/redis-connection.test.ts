import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Redis } from 'ioredis'
import { connectCluster, connectRedis } from '../../../src/routing/redis-connection.ts'
import { Secret } from '../../../src/secret.ts'
import { READ_DEADLINE_MS, within } from '../../support/deadline.ts'
import { PASS, startScriptedRedis } from './scripted-redis.ts'

/** Whatever else happens: `once` of node:events would stop at an error. */
const heard = (client: Redis, event: string): Promise<unknown> => new Promise((resolve) => client.once(event, resolve))

test('comes back where ioredis has given up for good', async (t) => {
  const { settings } = await startScriptedRedis(t, () => PASS)
  const { client, close } = connectRedis(settings, {})
  t.after(close)
  client.on('error', () => undefined)
  const ended = heard(client, 'end')
  client.disconnect(true) // while it dials, as when a failover is told of at that moment
  await within(READ_DEADLINE_MS, ended, () => 'ioredis has not given up, which this is for')
  await within(READ_DEADLINE_MS, heard(client, 'ready'), () => 'nobody has brought it back')
})

test('stays away once it is closed', async (t) => {
  const { settings } = await startScriptedRedis(t, () => PASS)
  const { client, close } = connectRedis(settings, {})
  client.on('error', () => undefined)
  await within(READ_DEADLINE_MS, heard(client, 'ready'), () => 'no connection')
  const ended = heard(client, 'end')
  close()
  close()
  await within(READ_DEADLINE_MS, ended, () => 'it does not end')
  await assert.rejects(client.ping())
})

test('goes to another server where its own says that it may not be written to any more', async (t) => {
  let demoted = true
  const { settings } = await startScriptedRedis(t, ([name]) =>
    name === 'eval' && demoted ? "-READONLY You can't write against a read only replica.\r\n" : PASS,
  )
  const { client, close } = connectRedis(settings, {})
  t.after(close)
  client.on('error', () => undefined)
  await within(READ_DEADLINE_MS, heard(client, 'ready'), () => 'no connection')
  const again = heard(client, 'ready')
  await assert.rejects(client.eval('return 1', 0), /READONLY/u)
  demoted = false
  await within(READ_DEADLINE_MS, again, () => 'it stays where it is')
  assert.equal(await client.eval('return 1', 0), 'OK')
})

test('says who it is, in RESP3 and in RESP2', async (t) => {
  const redis = await startScriptedRedis(t, () => PASS)
  const settings = { ...redis.settings, username: 'mux', password: new Secret('of-redis') }
  const clients = [connectRedis(settings, {}), connectRedis(settings, { protocol: 2 })]
  t.after(() => {
    for (const { close } of clients) close()
  })
  for (const { client } of clients) client.on('error', () => undefined)
  await redis.heard(/^lookups: hello 3 AUTH mux of-redis$/u)
  await redis.heard(/^changes: auth mux of-redis$/u)
})

test('is told apart: a Cluster has a client of its own', async (t) => {
  const { settings } = await startScriptedRedis(t, () => PASS)
  assert.throws(() => connectCluster(settings, 1500))
  const cluster = { ...settings, servers: { kind: 'cluster', nodes: [{ host: '127.0.0.1', port: 1 }] } } as const
  assert.throws(() => connectRedis(cluster, {}))
})
