/** The whole Redis directory against a Redis that is played by a script. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Log } from '../../../../src/log.ts'
import { openCachedDirectory } from '../../../../src/directory/remembered/cached-directory.ts'
import type { OtherWorkers } from '../../../../src/directory/remembered/stand-ins.ts'
import type { RouteStep } from '../../../../src/directory/trace.ts'
import { Secret } from '../../../../src/secret.ts'
import { READ_DEADLINE_MS, within } from '../../../support/deadline.ts'
import { bulk, fields, hash, PASS, silent, startScriptedRedis, type Answers } from '../scripted-redis.ts'
import { growList, until } from '../waiting.ts'

const ALICE = 'mailmux:user:alice'

async function open(t: TestContext, answers: Answers, more: { password?: Secret; others?: OtherWorkers } = {}) {
  const redis = await startScriptedRedis(t, answers)
  const lines = growList<string>()
  const add = (line: object | string, text?: string): void => lines.add(`${text ?? ''} ${JSON.stringify(line)}`)
  const log: Log = { ...silent, info: add, warn: add, error: add }
  const ups = growList<boolean>()
  let bad = 0
  const settings = { ...redis.settings, password: more.password }
  const monitor = {
    directoryIsUp: (up: boolean) => ups.add(up),
    directoryHasLostData: () => undefined,
    directoryAnsweredBadly: () => bad++,
  }
  const directory = openCachedDirectory(settings, log, monitor, more.others)
  t.after(() => directory.close())
  return { redis, directory, settings, lines, ups, badAnswers: () => bad }
}

test('reads a route that was written during a short interruption, also if Redis hangs right after', async (t) => {
  let store = 'store1'
  let hangs = false
  const { redis, directory } = await open(t, ([name, key]) => {
    if (hangs) return undefined
    return name === 'hmget' && key === ALICE ? fields(store, null, null, null) : PASS
  })
  await within(READ_DEADLINE_MS, directory.connected, () => 'no connection')
  assert.equal((await directory.lookup('alice')).entry?.backend, 'store1')
  const reads = (): number => redis.asked.filter((one) => one.includes(ALICE)).length
  const before = reads()
  store = 'store2' // which no push tells of
  redis.hangUp('changes')
  await redis.heard(new RegExp(`hmget ${ALICE}`, 'u'), before + 1)
  await redis.heard(/^changes: ping$/u, 2)
  while ((await directory.lookup('alice')).entry?.backend !== 'store2') await new Promise(setImmediate)
  hangs = true
  assert.equal((await directory.lookup('alice')).entry?.backend, 'store2')
})

test('logs bad answers once a minute, counts each, and reports them in lookups', async (t) => {
  const { directory, lines, badAnswers } = await open(t, ([name, key]) =>
    name === 'hmget' && key === ALICE ? '+s1\r\n' : PASS,
  )
  await within(READ_DEADLINE_MS, directory.connected, () => 'no connection')
  for (let login = 0; login < 3; login++)
    await assert.rejects(directory.lookup('alice'), { code: 'directory-unavailable' })
  assert.equal(badAnswers(), 3)
  assert.equal(lines.all.filter((line) => line.startsWith('directory gave a bad answer')).length, 1)
  const steps: RouteStep[] = []
  await assert.rejects(directory.lookup('alice', (step) => steps.push(step)))
  assert.equal(steps.at(-1)?.detail, 'Redis: HMGET was answered in another form')
})

test('reports with the text of Redis why it is unavailable', async (t) => {
  const answers: Answers = ([name]) => (name === 'auth' ? '-WRONGPASS invalid\r\n' : PASS)
  const { directory, lines } = await open(t, answers, { password: new Secret('of-yesterday') })
  await until(lines, (all) => all.some((line) => line.startsWith('directory unavailable')), 'line')
  await assert.rejects(directory.lookup('alice'), { message: 'Redis: WRONGPASS invalid' })
})

test('shows the directory as unavailable in a trace, also while its marker cannot be read', async (t) => {
  const answers: Answers = ([name, key]) => (name === 'hmget' && key === 'mailmux:marker' ? '-LOADING\r\n' : PASS)
  const { redis, directory } = await open(t, answers)
  await redis.heard(/hmget mailmux:marker/u, 1)
  const steps: RouteStep[] = []
  await assert.rejects(directory.lookup('alice', (step) => steps.push(step)))
  assert.deepEqual(steps.map(({ asked, outcome }) => `${asked}: ${outcome}`).slice(0, 2), [
    'memory: nothing',
    'directory: unavailable',
  ])
})

test('is never up where the login is refused for want of a right', async (t) => {
  const answers: Answers = ([name]) => (name === 'auth' ? '-NOPERM no\r\n' : PASS)
  const { redis, directory, ups } = await open(t, answers, { password: new Secret('x') })
  await redis.heard(/auth x$/u, 4)
  await assert.rejects(directory.lookup('alice'), { message: 'Redis: NOPERM no' })
  assert.ok(!ups.all.includes(true))
})

test('uses the current password for the next connection, with and without tracking', async (t) => {
  let password = 'one'
  const { redis, directory, settings, ups } = await open(
    t,
    ([name, word]) => (name === 'auth' && word !== password ? '-WRONGPASS invalid\r\n' : PASS),
    { password: new Secret('one') },
  )
  await within(READ_DEADLINE_MS, directory.connected, () => 'no connection')
  password = 'two'
  directory.renew?.({ ...settings, password: new Secret('two') })
  for (const asker of ['lookups', 'changes'] as const) redis.hangUp(asker)
  await redis.heard(/auth two$/u, 2)
  await until(ups, (all) => all.length === 3 && all.at(-1) === true, 'return')
  assert.ok(
    !redis.asked
      .slice(redis.asked.findIndex((one) => one.endsWith('auth two')))
      .some((one) => one.endsWith('auth one')),
  )
})

test('warns of a policy by which Redis removes routes, once', async (t) => {
  const { directory, lines } = await open(t, ([name]) =>
    name === 'info' ? bulk('run_id:one\r\nrole:master\r\nmaxmemory_policy:allkeys-lru\r\n') : PASS,
  )
  await within(READ_DEADLINE_MS, directory.connected, () => 'no connection')
  assert.deepEqual(
    lines.all.filter((line) => line.startsWith('directory may lose routes')),
    ['directory may lose routes {"maxmemory_policy":"allkeys-lru"}'],
  )
})

test('takes a missing route for forgotten, and not for none, where Redis removes routes by a policy of all keys', async (t) => {
  for (const [policy, backend] of [
    ['allkeys-lru', 'store1'],
    ['volatile-lru', undefined],
  ] as const) {
    let isGone = false
    const { redis, directory, lines } = await open(t, (command) => {
      const [name, key] = command
      if (name === 'info') return bulk(`run_id:one\r\nrole:master\r\nmaxmemory_policy:${policy}\r\n`)
      return name === 'hmget' && key === ALICE ? hash(command, isGone ? {} : { backend: 'store1' }) : PASS
    })
    await within(READ_DEADLINE_MS, directory.connected, () => 'no connection')
    assert.equal((await directory.lookup('alice')).entry?.backend, 'store1')
    isGone = true
    redis.push([ALICE])
    while ((await directory.lookup('alice')).source === 'cache') await new Promise(setImmediate)
    assert.equal((await directory.lookup('alice')).entry?.backend, backend, policy)
    assert.equal(lines.all.filter((line) => line.startsWith('directory may lose routes')).length, 1)
  }
})

const STORE1 = { backend: 'store1', login: undefined, status: 'active' } as const

/** The other workers of an instance: they remember bob, and a marker. */
function otherWorkers(marker: string | undefined) {
  const seen = growList<string>()
  const asked: string[] = []
  let tell: (id: string) => void = () => undefined
  const others: OtherWorkers = {
    marker,
    markerSeen: seen.add,
    onMarker: (hear) => (tell = hear),
    standIns(user) {
      asked.push(user)
      return Promise.resolve(user === 'bob' ? [{ entry: STORE1, ageMs: 1000, source: 'stale' as const }] : [])
    },
  }
  return { others, seen, asked, tell: (id: string) => tell(id) }
}

test('uses what another worker remembers while Redis gives no answer, and asks for nothing else', async (t) => {
  const { others, asked, seen } = otherWorkers(undefined)
  let hangs = false
  const answers: Answers = ([name, key]) => {
    if (hangs) return undefined
    return name === 'hmget' && key !== 'mailmux:marker' ? fields('store2', null, null, null) : PASS
  }
  const { directory } = await open(t, answers, { others })
  await within(READ_DEADLINE_MS, directory.connected, () => 'no connection')
  assert.deepEqual(seen.all, ['id-of-the-marker'])
  assert.equal((await directory.lookup('alice')).entry?.backend, 'store2')
  hangs = true
  assert.deepEqual(asked, [])
  assert.deepEqual(await directory.lookup('bob'), { entry: STORE1, source: 'stale' })
  await assert.rejects(directory.lookup('carol'), { code: 'directory-unavailable' })
  assert.deepEqual(asked, ['bob', 'carol'])
  const mine = directory.standInFor?.('alice')
  assert.ok(mine && 'entry' in mine && mine.entry.backend === 'store2')
  assert.equal(directory.standInFor?.('bob'), undefined, 'it is not kept')
})

test('takes a Redis without the marker for one that has lost its data where another worker has seen the marker', async (t) => {
  for (const learnsLater of [true, false]) {
    const { others, tell } = otherWorkers(learnsLater ? undefined : 'before')
    let isFirst = learnsLater
    const { directory, lines } = await open(
      t,
      ([name, key]) => {
        if (name !== 'hmget' || key !== 'mailmux:marker') return PASS
        if (!isFirst) return fields(null, null, null, null)
        isFirst = false
        return '-LOADING\r\n'
      },
      { others },
    )
    if (learnsLater) tell('before')
    await until(lines, (all) => all.some((line) => line.startsWith('directory has lost its data')), 'line')
    assert.deepEqual(await directory.lookup('bob'), { entry: STORE1, source: 'stale' })
    await assert.rejects(directory.lookup('alice'), { code: 'directory-unavailable', message: /has lost its data/u })
  }
})

test('reports changed states of back ends, and gives each as Redis has it', async (t) => {
  const states: Record<string, string> = {
    'mailmux:backend:s1': fields('drain', '10m', null),
    'mailmux:backend:s2': fields('gone', null, null),
    'mailmux:backend:s3': '-WRONGTYPE Operation against a key holding the wrong kind of value\r\n',
  }
  const { redis, directory } = await open(t, ([name, key = '']) => (name === 'hmget' && states[key]) || PASS)
  const heard = growList<string | undefined>()
  directory.onBackendChanged?.((backend) => heard.add(backend))
  await within(READ_DEADLINE_MS, directory.connected, () => 'no connection')
  await until(heard, (all) => all.length > 0, 'comparison at the start')
  redis.push(['mailmux:backend:s1', 'mailmux:user:alice', 'mailmux:backend:s2'])
  await until(heard, (all) => all.length >= 3, 'changes')
  redis.push(null)
  await until(heard, (all) => all.length >= 4, 'change of all')
  assert.deepEqual(heard.all, [undefined, 's1', 's2', undefined])
  assert.deepEqual(await directory.backendState?.('s1'), { state: 'drain', overMs: 600_000 })
  assert.deepEqual(await directory.backendState?.('s2'), {
    wrong: 'the state "gone" is none of up, drain, pause, down',
  })
  assert.deepEqual(await directory.backendState?.('s3'), { wrong: 'the key is not a hash' })
  assert.equal(await directory.backendState?.('s4'), undefined)
})

test('uses no route that is written into a Redis that has lost its data, until an operator accepts it', async (t) => {
  let state: 'sound' | 'lost' | 'accepted' = 'sound'
  const { directory, redis, lines } = await open(t, ([name, key]) => {
    if (name !== 'hmget') return PASS
    if (key !== 'mailmux:marker') return fields(state === 'sound' ? 'store1' : 'store2', null, null, null)
    if (state === 'sound') return fields('one', null, null, 'one')
    return fields('two', 'one', state === 'lost' ? 'since then' : null, 'two')
  })
  await within(READ_DEADLINE_MS, directory.connected, () => 'no connection')
  for (const user of ['alice', 'bob']) assert.equal((await directory.lookup(user)).entry?.backend, 'store1')
  state = 'lost'
  redis.push(null)
  redis.push([ALICE]) // before the loss is known
  await until(lines, (all) => all.some((line) => line.startsWith('directory has lost its data')), 'line')
  const checks = (): number => redis.asked.filter((one) => one.includes('hmget mailmux:marker')).length
  const before = checks()
  redis.push(['mailmux:user:bob', 'mailmux:marker'])
  await redis.heard(/hmget mailmux:marker/u, before + 1)
  for (const user of ['alice', 'bob']) {
    const { entry, source } = await directory.lookup(user)
    assert.deepEqual([entry?.backend, source], ['store1', 'stale'], user)
  }
  state = 'accepted'
  redis.push(['mailmux:marker'])
  await until(lines, (all) => all.some((line) => line.startsWith('directory accepted as it is')), 'line')
  for (const user of ['alice', 'bob']) assert.equal((await directory.lookup(user)).entry?.backend, 'store2', user)
})

test('a state that is gone is no change where Redis has lost its data', async (t) => {
  let isLost = false
  const { directory, redis } = await open(t, ([name, key]) => {
    if (name !== 'hmget') return PASS
    if (isLost) return fields(null, null, null, null).slice(0)
    return key === 'mailmux:backend:s1' ? fields('down', null, null) : PASS
  })
  await within(READ_DEADLINE_MS, directory.connected, () => 'no connection')
  assert.deepEqual(await directory.backendState?.('s1'), { state: 'down', overMs: undefined })
  isLost = true
  redis.push(null)
  await assert.rejects(async () => directory.backendState?.('s1'), { code: 'directory-unavailable' })
})
