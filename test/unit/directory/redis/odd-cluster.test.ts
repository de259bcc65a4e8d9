/** Answers of a wrong form to what ioredis itself asks: they must end in an error, never in an exception that nothing catches. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openRedisClient } from '../../../../src/directory/redis/client.ts'
import { bulk, list, PASS, silent, startScriptedRedis } from '../scripted-redis.ts'

const ODD = [
  ':1\r\n',
  '*-1\r\n',
  '$-1\r\n',
  '+OK\r\n',
  list(':1\r\n'),
  list(list(':1\r\n', ':2\r\n')),
  list('$-1\r\n'),
  list(list(':0\r\n', ':16383\r\n', list(bulk('127.0.0.1')))),
  list(list(':0\r\n', ':16383\r\n', '$-1\r\n')),
  list(list(':0\r\n', ':1000000000000000\r\n', list(bulk('127.0.0.1'), ':1\r\n'))),
]

for (const odd of ODD)
  test(`bears ${JSON.stringify(odd)} for the slots of a Cluster, and for the address of a master`, async (t) => {
    const redis = await startScriptedRedis(t, ([name, word]) =>
      (name === 'cluster' && word?.toUpperCase() === 'SLOTS') || name === 'sentinel' ? odd : PASS,
    )
    assert.ok(redis.settings.servers.kind === 'single')
    const { server } = redis.settings.servers
    for (const servers of [
      { kind: 'cluster', nodes: [server] },
      { kind: 'sentinels', name: 'm', addresses: [server], username: undefined, password: undefined },
    ] as const) {
      const client = openRedisClient({ ...redis.settings, servers }, silent, () => undefined)
      await redis.heard(servers.kind === 'cluster' ? /cluster slots/iu : /sentinel get-master/iu, 2)
      await assert.rejects(client.hmget('key', 'field'))
      client.close()
    }
  })

for (const odd of ['-MOVED\r\n', '-MOVED 1\r\n', '-MOVED x y\r\n', '-ASK\r\n', '-ASK 1\r\n', ':1\r\n', '-\r\n'])
  test(`bears ${JSON.stringify(odd)} of a node of a Cluster for a route`, async (t) => {
    let port = 0
    const redis = await startScriptedRedis(t, ([name, word]) => {
      if (name === 'cluster' && word?.toUpperCase() === 'SLOTS')
        return list(list(':0\r\n', ':16383\r\n', list(bulk('127.0.0.1'), `:${port}\r\n`)))
      if (name === 'cluster') return bulk('cluster_state:ok\r\n')
      return name === 'hmget' ? odd : PASS
    })
    assert.ok(redis.settings.servers.kind === 'single')
    const { server } = redis.settings.servers
    port = server.port
    const settings = { ...redis.settings, servers: { kind: 'cluster', nodes: [server] } } as const
    const client = openRedisClient(settings, silent, () => undefined)
    t.after(() => client.close())
    await client.connected
    await assert.rejects(client.hmget('key', 'field'))
  })
