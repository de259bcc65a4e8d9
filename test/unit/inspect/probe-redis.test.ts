import assert from 'node:assert/strict'
import { test } from 'node:test'
import { probeRedis } from '../../../src/inspect/probe-redis.ts'
import { Secret } from '../../../src/secret.ts'
import { freePort } from '../../support/ports.ts'
import { bulk, fields, list, PASS, startScriptedRedis, type Answers } from '../directory/scripted-redis.ts'

/** What Redis says to HSET with a field without a value, from a user who may use HSET. */
const ODD = "-ERR wrong number of arguments for 'hset' command\r\n"
const INFO = (policy: string): string => bulk(`run_id:one\r\nrole:master\r\nmaxmemory_policy:${policy}\r\n`)

/** A sound Redis, but for what `answers` says. */
const sound =
  (answers: Answers = () => PASS): Answers =>
  (command, asker) => {
    const answer = answers(command, asker)
    if (answer !== PASS) return answer
    if (command[0] === 'hset') return ODD
    if (command[0] === 'hmget' && command.includes('lost')) return fields('id-of-the-marker', null)
    return command[0] === 'hmget' ? fields(null) : PASS
  }

test('finds nothing wrong with a sound Redis, and writes nothing', async (t) => {
  const { settings, asked } = await startScriptedRedis(t, sound())
  assert.deepEqual(await probeRedis(settings, true), [])
  const commands = asked.map((one) => one.replace(/^\w+: /u, ''))
  const harmless =
    /^(?:info|hello|hmget|exists|ping|eval|client|subscribe)\b|^hset mailmux:marker id x field$|^command$/u
  for (const command of commands) assert.match(command.split('\n')[0] ?? '', harmless)
  // All that the program needs is asked for.
  for (const name of ['hmget', 'exists', 'ping', 'info', 'hset', 'eval', 'client TRACKING', 'subscribe'])
    assert.ok(
      commands.some((command) => command.startsWith(name)),
      `${name} in ${commands.join(', ')}`,
    )
})

/** Its name, what Redis answers, and what is told of it. */
type Case = [string, Answers, 'error' | 'warning', RegExp]

for (const [what, answers, severity, message] of [
  [
    'warns of a policy that removes keys',
    ([name]) => (name === 'info' ? INFO('allkeys-lru') : PASS),
    'warning',
    /^Redis: maxmemory-policy is allkeys-lru, which may remove routes; set it to noeviction/u,
  ],
  [
    'warns of a missing marker',
    ([name, , ...more]) => (name === 'hmget' && more.includes('lost') ? fields(null, null) : PASS),
    'warning',
    /^Redis has no marker mailmux:marker: right before the first start/u,
  ],
  [
    'reports data that is known to be lost',
    ([name, , ...more]) => (name === 'hmget' && more.includes('lost') ? fields('x', '2026-11-01') : PASS),
    'error',
    /^directory-unavailable: Redis has lost its data \(2026-11-01\); to accept it as it is: HDEL mailmux:marker lost/u,
  ],
  [
    'reports that no route can be read',
    ([name, key]) =>
      name === 'hmget' && key === 'mailmux:user:' ? '-NOPERM No permissions to access a key\r\n' : PASS,
    'error',
    /^directory-unavailable: Redis: NOPERM No permissions to access a key$/u,
  ],
  ...['exists', 'hset', 'ping', 'client', 'subscribe', 'eval'].map((missing): Case => [
    `warns where the right to ${missing.toUpperCase()} is missing`,
    ([name]) => (name === missing ? `-NOPERM no permissions to run '${missing}'\r\n` : PASS),
    'warning',
    new RegExp(`^Redis: NOPERM no permissions to run '${missing}': the rights that mailmux needs`, 'u'),
  ]),
  [
    'warns of rights that placement needs',
    ([name]) => (name === 'eval' ? list(bulk('SET'), bulk('HSETNX')) : PASS),
    'warning',
    /^Redis: this user may not use SET, HSETNX: the rights that mailmux needs/u,
  ],
  [
    'reports a Redis that is still loading',
    ([name]) => (name === 'info' ? bulk('loading:1\r\n') : PASS),
    'error',
    /^directory-unavailable: Redis: LOADING Redis is loading the dataset in memory$/u,
  ],
] satisfies Case[])
  test(what, async (t) => {
    const { settings } = await startScriptedRedis(t, sound(answers))
    const told = await probeRedis(settings, true)
    assert.deepEqual(
      told.map((one) => one.severity),
      [severity],
      JSON.stringify(told),
    )
    assert.match(told[0]?.message ?? '', message)
  })

test('notes rights that only the route commands need, which is no warning', async (t) => {
  const { settings } = await startScriptedRedis(
    t,
    sound(([name, , , commands]) =>
      name === 'eval' && commands?.includes('SCAN') ? list(bulk('HDEL'), bulk('SCAN')) : PASS,
    ),
  )
  const notes: string[] = []
  assert.deepEqual(await probeRedis(settings, true, (note) => notes.push(note)), [])
  assert.deepEqual(notes, [
    'Redis: this user may not use HDEL, SCAN, which only `mailmux route` and the routes of the API need',
  ])
})

test('reports a refused login in the words of Redis', async (t) => {
  const { settings } = await startScriptedRedis(
    t,
    sound(([name]) => (name === 'auth' ? '-WRONGPASS invalid username-password pair\r\n' : PASS)),
  )
  const told = await probeRedis({ ...settings, password: new Secret('wrong') }, false)
  const message = 'directory-unavailable: Redis: WRONGPASS invalid username-password pair'
  assert.deepEqual(told, [{ severity: 'error', message }])
})

test('reports a Redis that is away, and one that does not answer', async (t) => {
  const { settings } = await startScriptedRedis(t, () => undefined)
  const server = { host: '127.0.0.1', port: await freePort() }
  const away = await probeRedis({ ...settings, servers: { kind: 'single', server, database: 0 } }, false)
  assert.deepEqual(away, [{ severity: 'error', message: 'directory-unavailable: Redis: ECONNREFUSED' }])
  const silent = await probeRedis(settings, false)
  assert.deepEqual(silent, [{ severity: 'error', message: 'directory-unavailable: Redis: ETIMEDOUT' }])
})
