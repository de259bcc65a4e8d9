/** What a worker answers an operator who sets the state of a back end. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAnswers, type AnswerSources } from '../../src/answers.ts'
import type { BackendStateOrder } from '../../src/directory/directory.ts'
import { MuxError } from '../../src/errors.ts'

const ORDER: BackendStateOrder = { state: 'pause', over: undefined, by: 'root@mx1', isForced: false }

function answersOf(directory: Partial<NonNullable<AnswerSources['directory']>> | undefined) {
  const { setBackendState } = createAnswers({ directory, sessions: {} } as AnswerSources)
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

// With auth_http the directory has no such function, and with a static one there is no directory.
for (const [what, directory] of Object.entries({ 'a directory without states': {}, 'no directory': undefined }))
  test(`names the setting to change where there is ${what}`, async () => {
    const why = 'without Redis there is one place for it: `state` of store1 in routing.yaml'
    assert.deepEqual(await answersOf(directory)(ORDER), { result: 'no-place', why })
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
