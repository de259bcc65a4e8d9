/** The bounds of the logins that wait because their user is on hold, and what makes them look again. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MuxError } from '../../../src/errors.ts'
import { createHeldUsers } from '../../../src/login/held-users.ts'
import type { Text } from '../../../src/octets.ts'

function open() {
  let nowMs = 0
  let run = (): void => undefined
  let isTicking = false
  const held = createHeldUsers((user) => `placed-${user}`, {
    clock: {
      nowMs: () => nowMs,
      every(_, next) {
        run = next
        isTicking = true
        return () => (isTicking = false)
      },
    },
    random: () => 0.5,
  })
  const told: number[] = []
  let looks = 0
  let found: object | undefined
  const wait = (user: Text, address = '192.0.2.1', signal = new AbortController().signal) => {
    const options = { address, holdUntilMs: 45_000, signal, stillWaiting: () => void told.push(nowMs) }
    const outcome = held
      .wait(user, options, () => {
        looks++
        return Promise.resolve(found)
      })
      .then(
        () => 'found',
        (error: unknown) => (error instanceof MuxError ? error.code : String(error)),
      )
    return { outcome }
  }
  return {
    held,
    wait,
    told,
    looks: () => looks,
    find: () => (found = {}),
    isTicking: () => isTicking,
    pass: async (ms: number): Promise<void> => {
      for (const end = nowMs + ms; nowMs < end;) {
        nowMs += 1000
        run()
        await new Promise(setImmediate)
      }
    },
  }
}

test('a waiting client gets a reply every 10 to 15 s, and the wait ends at its deadline', async () => {
  const { wait, told, pass, isTicking } = open()
  const { outcome } = wait('alice')
  await pass(44_000)
  assert.deepEqual(told, [13_000, 26_000, 39_000])
  await pass(1000)
  assert.equal(await outcome, 'user-on-hold')
  assert.equal(isTicking(), false)
})

test('a change of the user, of the name of a placed user, and of all make a login look, another one does not', async () => {
  const { held, wait, looks, find } = open()
  const { outcome } = wait('alice')
  for (const [user, expected] of [
    ['bob', 0],
    ['alice', 1],
    ['placed-alice', 2],
    [undefined, 3],
  ] as const) {
    held.changed(user)
    await new Promise(setImmediate)
    assert.equal(looks(), expected)
  }
  find()
  held.changed('alice')
  assert.equal(await outcome, 'found')
  assert.equal(held.size, 0)
})

test('a change during a look makes it look once more', async () => {
  const { held } = open()
  const answers: ((found: object | undefined) => void)[] = []
  const options = {
    address: undefined,
    holdUntilMs: 1e9,
    signal: new AbortController().signal,
    stillWaiting: () => undefined,
  }
  const found = held.wait('alice', options, () => new Promise<object | undefined>((resolve) => answers.push(resolve)))
  held.changed('alice')
  held.changed('alice')
  held.changed('alice')
  assert.equal(answers.length, 1)
  answers[0]?.(undefined)
  await new Promise(setImmediate)
  assert.equal(answers.length, 2)
  const route = {}
  answers[1]?.(route)
  assert.equal(await found, route)
})

test('the error of a look, the signal of a client that leaves, and the stop of mailmux end the wait', async () => {
  const { held, wait } = open()
  const left = new AbortController()
  const gone = wait('alice', '192.0.2.1', left.signal)
  left.abort(new MuxError('client-closed', 'gone'))
  assert.equal(await gone.outcome, 'client-closed')
  assert.equal(await wait('alice', '192.0.2.1', left.signal).outcome, 'client-closed')
  const options = {
    address: undefined,
    holdUntilMs: 1e9,
    signal: new AbortController().signal,
    stillWaiting: () => undefined,
  }
  const failed = held.wait('alice', options, () => Promise.reject(new MuxError('route-invalid', 'no back end')))
  held.changed('alice')
  await assert.rejects(failed, { code: 'route-invalid' })
  const stopped = wait('alice')
  held.close()
  assert.equal(await stopped.outcome, 'shutting-down')
  assert.equal(await wait('alice').outcome, 'shutting-down')
})

test('a login waits on while the directory gives no answer, and goes on once it does', async () => {
  const { held, pass } = open()
  const route = {}
  let isAway = true
  const told: number[] = []
  const look = () => (isAway ? Promise.reject(new MuxError('directory-unavailable', 'away')) : Promise.resolve(route))
  const options = { address: undefined, signal: new AbortController().signal, stillWaiting: () => void told.push(1) }
  const found = held.wait('alice', { ...options, holdUntilMs: 45_000 }, look)
  const late = held.wait('alice', { ...options, holdUntilMs: 20_000 }, look)
  const refusal = assert.rejects(late, { code: 'user-on-hold' }) // which ends the connection without a tagged NO
  await pass(20_000)
  await refusal
  assert.equal(told.length, 2)
  isAway = false
  await pass(1000)
  assert.equal(await found, route)
  assert.equal(held.size, 0)
})

test('a network takes a quarter of the places, and all networks together no more than all', async () => {
  const { held, wait } = open()
  for (let login = 0; login < 250; login++) wait('alice', '192.0.2.1')
  assert.equal(held.size, 250)
  assert.equal(await wait('alice', '192.0.2.1').outcome, 'user-on-hold')
  for (let login = 0; login < 750; login++) wait('alice', `198.51.${Math.floor(login / 200)}.${login % 200}`)
  assert.equal(held.size, 1000)
  assert.equal(await wait('alice', '203.0.113.1').outcome, 'user-on-hold')
  held.close()
  assert.equal(held.size, 0)
})
