/** The states of back ends that the directory has: what is read, what stays in effect, and what is reported. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { followDirectoryStates } from '../../../src/backend/directory-states.ts'
import type { DirectoryState } from '../../../src/backend/state.ts'

type Answer = DirectoryState | { wrong: string } | undefined | Error

const PAUSE: Answer = { state: 'pause', overMs: undefined }

function open(t: TestContext, answers: Record<string, Answer>) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const seen: string[] = []
  const held: (() => void)[] = []
  let isHolding = false
  const follower = followDirectoryStates({
    names: () => Object.keys(answers),
    async read(name) {
      seen.push(`read ${name}`)
      const answer = answers[name]
      if (isHolding) await new Promise<void>((resolve) => held.push(resolve))
      if (answer instanceof Error) throw answer
      return answer
    },
    set: (name, state) => seen.push(`${name} ${state?.state ?? 'none'}`),
    refused: (name) => seen.push(`${name} refused`),
    log: { error: (line: object | string) => seen.push(JSON.stringify(line)) },
  })
  t.after(() => follower.close())
  return {
    follower,
    answers,
    hold: () => (isHolding = true),
    release: () => {
      isHolding = false
      for (const go of held.splice(0)) go()
    },
    take: async (): Promise<string[]> => {
      await new Promise(setImmediate)
      return seen.splice(0)
    },
  }
}

test('reads the state of the back end that has changed, and of all where any may have', async (t) => {
  const { follower, take } = open(t, { s1: PAUSE, s2: undefined })
  follower.changed('s1')
  assert.deepEqual(await take(), ['read s1', 's1 pause'])
  follower.changed('unknown')
  assert.deepEqual(await take(), [])
  follower.changed(undefined)
  assert.deepEqual(await take(), ['read s1', 's1 pause', 'read s2', 's2 none'])
})

test('a wrong value sets nothing, is counted each time, and logged once a minute', async (t) => {
  const { follower, take } = open(t, { s1: { wrong: 'no state' } })
  follower.changed('s1')
  assert.deepEqual(await take(), ['read s1', 's1 refused', '{"backend":"s1","wrong":"no state"}'])
  follower.changed('s1')
  assert.deepEqual(await take(), ['read s1', 's1 refused'])
})

test('what cannot be read sets nothing, and is read again after a pause', async (t) => {
  const { follower, answers, take } = open(t, { s1: new Error('away'), s2: PAUSE })
  follower.changed(undefined)
  assert.deepEqual(await take(), ['read s1'])
  answers['s1'] = PAUSE
  t.mock.timers.tick(5000)
  assert.deepEqual(await take(), ['read s2', 's2 pause', 'read s1', 's1 pause'])
})

test('a change during the reading is read once more', async (t) => {
  const { follower, answers, hold, release, take } = open(t, { s1: undefined })
  hold()
  follower.changed('s1')
  assert.deepEqual(await take(), ['read s1'])
  answers['s1'] = PAUSE
  follower.changed('s1')
  follower.changed('s1')
  release()
  assert.deepEqual(await take(), ['s1 none', 'read s1', 's1 pause'])
})

test('nothing is read again after the close', async (t) => {
  const { follower, take } = open(t, { s1: new Error('away') })
  follower.changed('s1')
  await take()
  follower.close()
  t.mock.timers.tick(60_000)
  assert.deepEqual(await take(), [])
})
