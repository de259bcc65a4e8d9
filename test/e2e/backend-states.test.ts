/** `mailmux backend` asked of a real mailmux with two workers and Redis: the states reach the hash and every worker, and come back. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { backendsAnswer } from '../../src/admin/answers.ts'
import { MAIN } from '../support/command.ts'
import { READ_DEADLINE_MS, until } from '../support/deadline.ts'
import { run, type RunResult } from '../support/run.ts'
import { MAILMUX_RUNTIME } from '../support/runtime.ts'
import { type Site, startSite } from '../support/site.ts'

const TOKEN = 'e2e-token'
const KEY = 'mailmux:backend:store1'

let site: Site
before(async () => {
  site = await startSite({ redis: true, mailmux: { adminToken: TOKEN, settings: { workers: 2 } } })
})
after(() => site.close())

function backend(...args: string[]): Promise<RunResult> {
  return run(MAILMUX_RUNTIME, [MAIN, 'backend', ...args, '-c', site.mailmux.configFile], { ms: 40_000 })
}

function put(body: object): Promise<Response> {
  const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
  const url = `http://127.0.0.1:${site.mailmux.ports.admin}/api/v1/backends/store1/state`
  return fetch(url, { method: 'PUT', headers, body: JSON.stringify(body) })
}

/** Both workers show this state, as the metrics are their sum. */
async function isInForce(state: string): Promise<void> {
  await until(
    READ_DEADLINE_MS,
    async () =>
      (await site.mailmux.metric(`mailmux_backend_state{backend="store1",state="${state}"}`)) === 1 ? true : undefined,
    () => `store1 is not in the state ${state}`,
  )
}

const hash = (field: string) => site.redis!.command('HGET', KEY, field)

const NEXT = 'next: mailmux wait store1 --empty\n'

test('gives a back end each state, for all workers, and takes it back', async () => {
  const drain = await backend('drain', 'store1', '--over', '1h')
  const told = `store1: drain over 1h, for all instances\n${NEXT}`
  assert.deepEqual([drain.code, drain.stdout, drain.stderr], [0, told, ''])
  await isInForce('drain')
  assert.deepEqual([await hash('state'), await hash('over')], ['drain', '1h'])
  assert.match(await hash('by'), /^[\w.@-]+$/)
  assert.match(await hash('since'), /^\d{10}$/)
  const list = await backend('list')
  assert.match(
    list.stdout,
    /^NAME +STATE +FROM +HEALTH +SESSIONS +LOGINS +WAITING +ADDRESSES\nstore1 +drain over 1h +Redis +up +0 +0 of /,
  )
  assert.match(list.stdout, /\nstore2 +up +routing\.yaml +up /)

  for (const state of ['pause', 'down', 'up']) {
    const { code, stdout } = await backend(state, 'store1')
    assert.deepEqual([code, stdout], [0, `store1: ${state}, for all instances\n`])
    await isInForce(state)
    assert.deepEqual([await hash('state'), await hash('over')], [state, ''])
  }
  assert.equal((await backend('up', 'store1')).stdout, 'store1 has the state up already\n')
  assert.deepEqual(await backend('reset', 'store1'), {
    code: 0,
    stdout: 'store1: as in routing.yaml, for all instances\n',
    stderr: '',
  })
  assert.equal(await site.redis!.command('EXISTS', KEY), '0')
  // The other worker hears of it from Redis.
  const wanted = ['store1 up routing', 'store2 up routing', 'store3 up routing']
  await until(
    READ_DEADLINE_MS,
    async () => {
      const { backends } = backendsAnswer.parse(JSON.parse((await backend('list', '--json')).stdout))
      const states = backends.map(({ name, state, stateFrom }) => `${name} ${state} ${stateFrom}`)
      return isDeepStrictEqual(states, wanted) ? true : undefined
    },
    () => 'a worker has an old state',
  )
  const line = await site.mailmux.waitForLog(({ msg }) => msg === 'back end state set by operator', 'an order')
  const { peer, backend: name, state, over, isForced, changed } = line
  assert.deepEqual(
    { peer, name, state, over, isForced, changed },
    { peer: '127.0.0.1', name: 'store1', state: 'drain', over: '1h', isForced: false, changed: true },
  )
})

test('keeps the drain of another operator, says who drains since when, and ends with 1', async () => {
  assert.equal((await put({ state: 'drain', over: '10m', by: 'root@mx2' })).status, 200)
  const refused = await backend('drain', 'store1', '--over', '1h')
  assert.equal(refused.code, 1)
  assert.match(
    refused.stderr,
    /^mailmux backend drain: store1 is being drained by root@mx2 over 10m since 20\d\d-[^ ]+Z; only an order with force/,
  )
  assert.deepEqual([await hash('over'), await hash('by')], ['10m', 'root@mx2'])
  const same = await backend('drain', 'store1', '--over', '10m')
  assert.deepEqual([same.code, same.stdout], [0, `store1 has the state drain over 10m already\n${NEXT}`])
  assert.equal((await backend('drain', 'store1', '--over', '1h', '--force')).code, 0)
  assert.equal(await hash('over'), '1h')
  assert.equal((await backend('reset', 'store1')).code, 0)
})

test('refuses what makes no sense, and ends with 2', async () => {
  for (const [args, why] of [
    [['up', 'store9'], /there is no back end store9/],
    [['drain', 'store1', '--over', 'soon'], /"soon" of "over" is no duration/],
    [['pause', 'store1', '--over', '10m'], /unknown option '--over'/],
    [['off', 'store1'], /unknown command 'off'/],
    [['up'], /missing required argument 'backend'/],
  ] as const) {
    const { code, stderr } = await backend(...args)
    assert.deepEqual([code, why.test(stderr)], [2, true], `${args.join(' ')}: ${stderr}`)
  }
  assert.equal(await site.redis!.command('EXISTS', KEY), '0')
})
