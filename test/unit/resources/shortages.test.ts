import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createShortageNotes } from '../../../src/resources/shortages.ts'
import { keepLog } from '../backend/fixture.ts'

test('counts each shortage, and logs one line a minute for each kind with the number of the others', () => {
  const { log, lines } = keepLog()
  const counted: string[] = []
  let nowMs = 0
  const note = createShortageNotes(
    log,
    (place) => void counted.push(place),
    () => nowMs,
  )
  for (let times = 0; times < 5; times++) note('backend', 'connect EMFILE')
  note('check', 'connect EMFILE')
  nowMs = 60_000
  note('backend', 'connect ENOMEM')
  assert.deepEqual(lines, [
    { level: 'error', message: 'local shortage', place: 'backend', detail: 'connect EMFILE' },
    { level: 'error', message: 'local shortage', place: 'check', detail: 'connect EMFILE' },
    { level: 'error', message: 'local shortage', place: 'backend', detail: 'connect ENOMEM', others: 4 },
  ])
  assert.equal(counted.length, 7)
})
