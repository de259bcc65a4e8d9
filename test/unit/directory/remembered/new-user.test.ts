/** A new user in the whole Redis directory, which a script plays: reserved, committed, and what is remembered of that. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { COMMIT, RESERVE } from '../../../../src/directory/redis/claims.ts'
import { openCachedDirectory } from '../../../../src/directory/remembered/cached-directory.ts'
import { READ_DEADLINE_MS, within } from '../../../support/deadline.ts'
import {
  AMPLE_MS,
  bulk,
  fields,
  hash,
  list,
  PASS,
  silent,
  startScriptedRedis,
  type Answers,
} from '../scripted-redis.ts'

const KEYS = '2 mailmux:user:alice mailmux:claim:{mailmux:user:alice}'
const STORE2 = { backend: 'store2', login: undefined, status: 'active' }

type Play = {
  /** the answer to the script of a claim or a settlement */
  answer: string
  /** of the user's route; undefined: there is none */
  route?: () => string | undefined
  marker?: () => string
}

async function open(t: TestContext, { answer, route, marker }: Play) {
  const answers: Answers = (command) => {
    const [name, key] = command
    if (name === 'eval') return answer
    if (name === 'hmget' && key === 'mailmux:marker') return marker?.() ?? PASS
    const backend = route?.()
    return name === 'hmget' ? hash(command, backend === undefined ? {} : { backend }) : PASS
  }
  const redis = await startScriptedRedis(t, answers)
  const states: string[] = []
  const directory = openCachedDirectory({ ...redis.settings, timeoutMs: AMPLE_MS }, silent, {
    directoryIsUp: (up) => void states.push(up ? 'up' : 'away'),
    directoryHasLostData: (lost) => (lost ? void states.push('lost') : undefined),
    directoryAnsweredBadly: () => undefined,
  })
  t.after(() => directory.close())
  await within(READ_DEADLINE_MS, directory.connected, () => 'no connection')
  const scripts = (): string[] =>
    redis.asked
      .filter((one) => one.startsWith('lookups: eval '))
      .map((one) => one.replace(RESERVE.trim(), 'RESERVE').replace(COMMIT.trim(), 'COMMIT').replace(/\s+/gu, ' '))
  const reads = (): number => redis.asked.filter((one) => one.startsWith('lookups: hmget mailmux:user:alice')).length
  return { redis, directory, states, scripts, reads }
}

const reserve = ({ directory }: Awaited<ReturnType<typeof open>>) => directory.reserve?.('alice', 'store1', 2500.5)

test('reserves the back end for as long as the login may take, and names the one that is reserved', async (t) => {
  for (const kept of ['store1', 'store2']) {
    const opened = await open(t, { answer: list(bulk('kept'), bulk(kept)) })
    const entry = { ...STORE2, backend: kept }
    assert.deepEqual(await reserve(opened), { entry, source: 'placed' })
    assert.deepEqual(opened.scripts(), [`lookups: eval RESERVE ${KEYS} store1 2501`])
  }
})

test('gives the route of a user whom another instance has placed, and remembers the missing one no longer', async (t) => {
  const routes: string[] = []
  const opened = await open(t, {
    answer: list(bulk('route'), bulk('store2'), '$-1\r\n', '$-1\r\n', '$-1\r\n'),
    route: () => routes[0],
  })
  assert.deepEqual(await opened.directory.lookup('alice'), { entry: undefined, source: 'directory' })
  assert.deepEqual(await opened.directory.lookup('alice'), { entry: undefined, source: 'cache' })
  routes.push('store2')
  assert.deepEqual(await reserve(opened), { entry: STORE2, source: 'directory' })
  assert.deepEqual(await opened.directory.lookup('alice'), { entry: STORE2, source: 'directory' })
})

test('commits the back end, and reads the route from Redis at the next login', async (t) => {
  const routes: string[] = []
  const opened = await open(t, { answer: ':1\r\n', route: () => routes[0] })
  assert.equal((await opened.directory.lookup('alice')).entry, undefined)
  routes.push('store1')
  await opened.directory.commit?.('alice', 'store1')
  assert.deepEqual(opened.scripts(), [`lookups: eval COMMIT ${KEYS} store1`])
  assert.equal((await opened.directory.lookup('alice')).entry?.backend, 'store1')
})

test('refuses a login whose reservation is lost, and drops the remembered route', async (t) => {
  const opened = await open(t, { answer: ':0\r\n' })
  await opened.directory.lookup('alice')
  const before = opened.reads()
  await assert.rejects(async () => opened.directory.commit?.('alice', 'store1'), {
    code: 'directory-unavailable',
    message: 'the place of a new user has changed during the login',
  })
  await opened.directory.lookup('alice')
  assert.equal(opened.reads(), before + 1)
})

test('places and commits no user in a directory that has lost its data', async (t) => {
  let isLost = false
  const opened = await open(t, {
    answer: list(bulk('kept'), bulk('store1')),
    marker: () => (isLost ? fields(null, null, null, null) : PASS),
  })
  await opened.directory.lookup('bob') // no check of the marker is under way behind it
  isLost = true
  const lost = { code: 'directory-unavailable', message: /has lost its data/u }
  await assert.rejects(opened.directory.lookup('alice'), lost)
  await assert.rejects(async () => reserve(opened), lost)
  await assert.rejects(async () => opened.directory.commit?.('alice', 'store1'), lost)
  assert.deepEqual(opened.scripts(), [])
  assert.deepEqual(opened.states, ['up', 'away', 'lost'])
})

test('reports each changed route, and a change of all routes if messages may have been lost', async (t) => {
  const { redis, directory } = await open(t, { answer: PASS })
  const heard: (string | undefined)[] = []
  let wake = (): void => undefined
  directory.onRouteChanged?.((user) => {
    heard.push(user)
    wake()
  })
  const next = (): Promise<void> => new Promise((resolve) => (wake = resolve))
  for (const keys of [['mailmux:user:alice'], null]) {
    const told = next()
    redis.push(keys)
    await within(READ_DEADLINE_MS, told, () => `nothing of ${String(keys)}`)
  }
  const told = next()
  redis.hangUp('changes')
  await within(READ_DEADLINE_MS, told, () => 'nothing of the new connection')
  assert.deepEqual(heard, ['alice', undefined, undefined])
})
