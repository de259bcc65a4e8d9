/** The new route of a user of a drained back end, in the whole Redis directory, which a script plays. test/e2e/redis-acl.test.ts runs it in Redis. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { REASSIGN } from '../../../../src/directory/redis/reassign.ts'
import { openCachedDirectory } from '../../../../src/directory/remembered/cached-directory.ts'
import { keepLog } from '../../backend/fixture.ts'
import { READ_DEADLINE_MS, within } from '../../../support/deadline.ts'
import { AMPLE_MS, bulk, fields, hash, list, PASS, startScriptedRedis, type Answers } from '../scripted-redis.ts'

type Play = {
  /** the hashes of the back ends */
  states?: Record<string, Record<string, string>>
  /** the answer to the script */
  answer?: string
  marker?: string
}

const ORDERED = { store1: { state: 'drain', reassign: '1' } }
const NIL = '$-1\r\n'
const CHANGED = list(bulk('changed'), bulk('store2'), bulk('al'), NIL, NIL)

async function open(t: TestContext, { states = ORDERED, answer = CHANGED, marker }: Play = {}) {
  const answers: Answers = (command) => {
    const [name, key = ''] = command
    if (name === 'eval') return answer
    if (name === 'hmget' && key === 'mailmux:marker' && marker !== undefined) return marker
    if (name !== 'hmget' || key === 'mailmux:marker') return PASS
    return hash(command, states[key.replace('mailmux:backend:', '')] ?? {})
  }
  const redis = await startScriptedRedis(t, answers)
  const { log, lines } = keepLog()
  const directory = openCachedDirectory({ ...redis.settings, timeoutMs: AMPLE_MS }, log, {
    directoryIsUp: () => undefined,
    directoryHasLostData: () => undefined,
    directoryAnsweredBadly: () => undefined,
  })
  t.after(() => directory.close())
  if (marker === undefined) await within(READ_DEADLINE_MS, directory.connected, () => 'no connection')
  const scripts = (): string[] =>
    redis.asked
      .filter((one) => one.startsWith('lookups: eval '))
      .map((one) => one.replace(REASSIGN.trim(), 'REASSIGN').replace(/\s+/gu, ' '))
  const told = () => lines.filter(({ message }) => message === 'user reassigned')
  return { directory, scripts, told, reassign: async () => directory.reassign?.('alice', 'store1', 'store2') }
}

test('changes the route by one script of one key, and leaves a line for it', async (t) => {
  const { reassign, scripts, told } = await open(t)
  assert.deepEqual(await reassign(), { backend: 'store2', login: 'al', status: 'active' })
  assert.deepEqual(scripts(), ['lookups: eval REASSIGN 1 mailmux:user:alice store1 store2'])
  assert.deepEqual(told(), [{ level: 'info', message: 'user reassigned', user: 'alice', from: 'store1', to: 'store2' }])
})

test('gives the route that another instance or an operator has written, without a line', async (t) => {
  for (const [fieldsOf, entry] of [
    [[bulk('store3'), NIL, NIL, NIL], { backend: 'store3', login: undefined, status: 'active' }],
    [[bulk('store1'), NIL, bulk('disabled'), NIL], { backend: 'store1', login: undefined, status: 'disabled' }],
    [[bulk('store1'), NIL, bulk('hold'), NIL], { backend: 'store1', login: undefined, status: 'hold' }],
  ] as const) {
    const { reassign, told } = await open(t, { answer: list(bulk('kept'), ...fieldsOf) })
    assert.deepEqual([await reassign(), told()], [entry, []])
  }
})

test('asks for no change where Redis has no such order any more, or the other back end takes no users', async (t) => {
  for (const states of [
    {},
    { store1: { state: 'drain' } },
    { store1: { state: 'up', reassign: '1' } },
    { store1: { state: 'drain', reassign: 'yes' } },
    { ...ORDERED, store2: { state: 'drain' } },
    { ...ORDERED, store2: { state: 'pause' } },
    { ...ORDERED, store2: { state: 'down' } },
    { ...ORDERED, store2: { state: 'gone' } },
  ]) {
    const { reassign, scripts } = await open(t, { states })
    assert.deepEqual([await reassign(), scripts()], [undefined, []], JSON.stringify(states))
  }
  const { reassign } = await open(t, { states: { ...ORDERED, store2: { state: 'up' } } })
  assert.equal((await reassign())?.backend, 'store2')
})

test('fails where the route is gone, the answer has another form, or Redis has lost its data', async (t) => {
  const gone = await open(t, { answer: list(bulk('kept'), NIL, NIL, NIL, NIL) })
  await assert.rejects(gone.reassign(), { code: 'directory-unavailable', message: /was removed/ })
  for (const answer of [list(bulk('kept')), bulk('changed'), NIL, list(bulk('other'), NIL, NIL, NIL, NIL)]) {
    const odd = await open(t, { answer })
    await assert.rejects(odd.reassign(), { code: 'directory-unavailable', message: /another form/ })
  }
  const lost = await open(t, { marker: fields('id', null, 'since', 'id') })
  await assert.rejects(lost.reassign(), { code: 'directory-unavailable' })
  assert.deepEqual(lost.scripts(), [])
})
