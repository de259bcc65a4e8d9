/** `mailmux check --probe` against a real Redis that may remove routes and a back end that is away: before a start, and beside a running mailmux. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { MAIN, NODE_OF_COMMAND } from '../support/command.ts'
import { startMailmux } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { startRedis } from '../support/redis.ts'
import { run } from '../support/run.ts'
import { openScene, type Scene } from '../support/scene.ts'

let scene: Scene
before(() => {
  scene = openScene()
})
after(() => scene.close())

test('reports the back end with line and caret, warns of the policy, and lists the ports of the running mailmux', async () => {
  const redis = await startRedis(scene, { args: ['--maxmemory-policy', 'allkeys-lru'] })
  const authority = await makeAuthority(scene.directory)
  const dead = await freePort()
  const mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mail'),
    backends: { store1: { host: '127.0.0.1', imap: dead } },
    directory: { redis: { url: redis.url } },
  })
  const [node = '', ...options] = NODE_OF_COMMAND
  const probe = () => run(node, [...options, MAIN, 'check', '--probe', '-c', mailmux.configFile], { ms: 60_000 })

  const beside = await probe()
  const policy = /^\S+mailmux\.yaml:\d+:\d+: warning: Redis: maxmemory-policy is allkeys-lru.*\n.*\n *\^~+$/mu
  const away =
    /^\S+routing\.yaml:2:3: error: back end store1, imap at 127\.0\.0\.1:\d+: backend-refused: .*ECONNREFUSED\n {2}store1:\n {2}\^~~~~~$/mu
  for (const expected of [policy, away]) assert.match(beside.stdout, expected)
  assert.match(beside.stdout, /^in use by the running mailmux of this configuration: ports \d+(?:, \d+){6}$/mu)
  assert.match(beside.stdout, /^1 error, \d+ warnings$/mu)
  assert.deepEqual([beside.code, beside.stderr], [1, ''])

  await mailmux.stop()
  await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'noeviction')
  await redis.command('FLUSHALL')
  const { stdout } = await probe()
  assert.doesNotMatch(stdout, /in use|maxmemory/u)
  assert.match(stdout, /warning: Redis has no marker mailmux:marker/u)
  assert.equal(await redis.command('DBSIZE'), '0')

  await redis.stop()
  assert.match((await probe()).stdout, /error: directory-unavailable: Redis: ECONNREFUSED$/mu)
})
