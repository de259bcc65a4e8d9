/** What a worker answers an operator who sets the state of a back end. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAnswers, type AnswerSources } from '../../src/answers.ts'
import type { BackendStateOrder } from '../../src/directory/directory.ts'
import { MuxError } from '../../src/errors.ts'

const ORDER: BackendStateOrder = { state: 'pause', over: undefined, by: 'root@mx1', isForced: false }

function answersOf(directory: Partial<ReturnType<AnswerSources['directory']>>) {
  const { setBackendState } = createAnswers({ directory: () => directory, sessions: {} } as AnswerSources)
  return (order: BackendStateOrder | undefined) => setBackendState({ backend: 'store1', order })
}

test('hands an order for the state of a back end to the directory', async () => {
  const ordered: unknown[] = []
  const answer = answersOf({
    setBackendState(backend, order) {
      ordered.push([backend, order])
      return Promise.resolve({ result: 'changed' })
    },
  })
  assert.deepEqual([await answer(ORDER), await answer(undefined)], Array(2).fill({ result: 'changed' }))
  assert.deepEqual(ordered, [
    ['store1', ORDER],
    ['store1', undefined],
  ])
})

// With auth_http and with a static one the directory has no such function.
test('names the setting to change where there is a directory without states', async () => {
  const why =
    'without Redis it is changed in routing.yaml: write `state: pause` for store1, which is in force seconds later'
  assert.deepEqual(await answersOf({})(ORDER), { result: 'no-place', why })
})

test('answers another worker only of the store that it has itself', () => {
  const ROUTE = { goneMs: 5 }
  let store = 'one'
  const { standIn } = createAnswers({
    directory: () => ({ standInFor: () => ROUTE }),
    store: () => store,
    sessions: {},
  } as unknown as AnswerSources)
  assert.equal(standIn({ store: 'one', user: 'alice' }), ROUTE)
  store = 'two'
  assert.equal(standIn({ store: 'one', user: 'alice' }), undefined)
})

test('reassigns users only where their routes can be changed, and another back end takes users by placement', async () => {
  const order: BackendStateOrder = { ...ORDER, state: 'drain', reassign: true }
  const set = (targets: string[], directory: Partial<ReturnType<AnswerSources['directory']>>) => {
    const sources: unknown = {
      world: () => ({ router: { reassignsTo: () => targets } }),
      directory: () => directory,
      sessions: {},
    }
    return createAnswers(sources as AnswerSources).setBackendState({ backend: 'store1', order })
  }
  const redis = { setBackendState: () => Promise.resolve({ result: 'changed' } as const) }
  assert.deepEqual(await set(['store2'], redis), { result: 'changed' })
  const none = await set([], redis)
  assert.deepEqual(
    [none.result, 'why' in none && /by `placement` of routing.yaml no other back end/.test(none.why)],
    ['no-place', true],
  )
  const answer = await set(['store2'], {})
  assert.deepEqual(
    [answer.result, 'why' in answer && /^without Redis the users of store1/.test(answer.why)],
    ['no-place', true],
  )
})

test('says why the directory cannot be asked now', async () => {
  const away = new MuxError('directory-unavailable', 'Redis: ECONNREFUSED')
  assert.deepEqual(await answersOf({ setBackendState: () => Promise.reject(away) })(ORDER), {
    result: 'unavailable',
    why: 'Redis: ECONNREFUSED',
  })
  const defect = new TypeError('a defect')
  await assert.rejects(answersOf({ setBackendState: () => Promise.reject(defect) })(ORDER), defect)
})
