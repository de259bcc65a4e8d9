/** Guesses from many networks fill the waits for a store. Users whose network has logged them in before go ahead of them. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Slot } from '../../../src/backend/admission/slot.ts'
import { openGates, stateOf, statesOf } from './admission-fixture.ts'

const GUESSER = '192.0.2.1'
const times = <T>(count: number, make: () => T): T[] => Array.from({ length: count }, make)
const count = (states: string[], state: string): number => states.filter((one) => one === state).length
const release = async (slot: Promise<Slot>): Promise<void> => (await slot).release()

describe('at the limit of a back end', () => {
  test('a known user goes ahead of others that wait, and behind logins that are tried again', async () => {
    const gates = openGates({ limits: { logins: 1 } })
    const first = gates.come()
    const waiting = [
      gates.come(),
      gates.come({ isKnown: true }),
      gates.come({ isKnown: true }),
      gates.come({ attempt: 2 }),
    ]
    const order: number[] = []
    const ends = waiting.map(async ({ slot }, at) => {
      const taken = await slot
      order.push(at)
      taken.release()
    })
    await release(first.slot)
    await Promise.all(ends)
    assert.deepEqual(order, [3, 1, 2, 0])
  })

  test('a known user takes the place of the login that came last where the queue is full', async () => {
    const gates = openGates({ limits: { logins: 1, queue: 3 } })
    const inside = gates.come()
    const guesses = times(3, () => gates.come())
    const user = gates.come({ isKnown: true })
    assert.deepEqual(await statesOf([...guesses, user]), ['waiting', 'waiting', 'backend-busy', 'waiting'])
    assert.equal(gates.facts()?.waiting, 3)
    assert.deepEqual(
      gates.waits.map(({ limit, outcome }) => `${limit} ${outcome}`),
      ['logins queue-full'],
    )
    await release(inside.slot)
    assert.deepEqual(await statesOf([...guesses.slice(0, 2), user]), ['waiting', 'waiting', 'in'])
  })

  test('a queue that is full of known users refuses the next one, and every other login', async () => {
    const gates = openGates({ limits: { logins: 1, queue: 2 } })
    gates.come()
    const users = times(3, () => gates.come({ isKnown: true }))
    assert.deepEqual(await statesOf([...users, gates.come()]), ['waiting', 'waiting', 'backend-busy', 'backend-busy'])
  })

  test('a known user behind the address of a guesser takes a place of that address', async () => {
    const gates = openGates({ limits: { logins: 1, queue: 40 } })
    const inside = gates.come()
    const stranger = gates.come()
    const guesses = times(5, () => gates.come({ address: GUESSER }))
    const user = gates.come({ address: GUESSER, isKnown: true })
    const states = await statesOf([stranger, ...guesses, user])
    assert.deepEqual([count(states, 'waiting'), states.indexOf('backend-busy')], [6, 5])
    await release(inside.slot)
    assert.deepEqual(await statesOf([stranger, user]), ['waiting', 'in'])
    await release(user.slot)
    assert.deepEqual(await statesOf([stranger, ...guesses.slice(0, 4)]), ['in', ...Array<string>(4).fill('waiting')])
  })

  test('the logins of known users under way stay within the share of their address', async () => {
    const gates = openGates({ limits: { logins: 40 } })
    const users = times(6, () => gates.come({ address: GUESSER, isKnown: true }))
    const guess = gates.come({ address: GUESSER })
    assert.deepEqual(await statesOf([...users, guess]), [...Array<string>(5).fill('in'), 'waiting', 'waiting'])
    await release(users[0]!.slot)
    assert.deepEqual(await statesOf([users[5]!, guess]), ['in', 'waiting'])
  })

  test('a known user that comes later than a guess of its address is admitted first', async () => {
    const gates = openGates({ limits: { logins: 40 } })
    const inside = times(5, () => gates.come({ address: GUESSER }))
    const guess = gates.come({ address: GUESSER })
    const user = gates.come({ address: GUESSER, isKnown: true })
    await release(inside[0]!.slot)
    assert.deepEqual(await statesOf([guess, user]), ['waiting', 'in'])
    await release(inside[1]!.slot)
    assert.equal(await stateOf(guess.slot), 'in')
  })
})

for (const state of ['pause', 'drain'] as const)
  describe(state, () => {
    test('a known user enters ahead of others afterwards', async () => {
      const gates = openGates({ limits: { logins: 1 } })
      gates.admissions.setState('store-1', state)
      const guess = gates.come()
      const user = gates.come({ isKnown: true })
      gates.admissions.setState('store-1', 'up')
      gates.pass(1000)
      assert.deepEqual(await statesOf([guess, user]), ['waiting', 'in'])
      await release(user.slot)
      gates.pass(10_000)
      assert.equal(await stateOf(guess.slot), 'in')
    })

    test('a known user takes the place of the login that came last where the line is full', async () => {
      const gates = openGates({ limits: { queue: 8 } })
      gates.admissions.setState('store-1', state)
      const guesses = [...times(4, () => gates.come({ address: GUESSER })), ...times(4, () => gates.come())]
      const [user, neighbour] = [gates.come({ isKnown: true }), gates.come({ isKnown: true, address: GUESSER })]
      const code = state === 'drain' ? 'backend-drained' : 'backend-paused'
      assert.deepEqual(await statesOf([...guesses, user, neighbour]), [
        ...['waiting', 'waiting', 'waiting', code],
        ...['waiting', 'waiting', 'waiting', code],
        ...['waiting', 'waiting'],
      ])
      assert.equal(gates.facts()?.waiting, 8)
    })
  })
