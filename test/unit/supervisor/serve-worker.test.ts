/** A worker's own side of the channel, without a process. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ToSupervisor, ToWorker } from '../../../src/supervisor/messages.ts'
import { serveWorker } from '../../../src/supervisor/serve-worker.ts'
import type { TablePiece } from '../../../src/supervisor/table-pieces.ts'
import { NO_LOG_OUTPUT } from '../../support/no-log-output.ts'

function start() {
  const sent: ToSupervisor[] = []
  let hear: (message: ToWorker) => void = () => assert.fail('the worker does not listen')
  serveWorker(
    {
      send: (message) => void sent.push(message),
      onMessage: (listener) => (hear = listener),
      onGone: () => undefined,
      exit: (code) => assert.fail(`exit code ${code}`),
    },
    () => assert.fail('the app is created'),
    NO_LOG_OUTPUT,
  )
  return {
    sent,
    sendPiece: (id: number, piece: TablePiece) => hear({ kind: 'ask', id, ask: { what: 'users', piece } }),
  }
}

test('a table of users for which memory is missing does not end the worker', () => {
  const { sent, sendPiece } = start()
  sendPiece(1, { is: 'first', size: 1, backends: [], recordOctets: 2 ** 50, slotCount: 2 })
  sendPiece(2, { is: 'first', size: 1, backends: [], recordOctets: 9, slotCount: 2 })
  assert.deepEqual(sent, [
    { kind: 'no-answer', id: 1, why: 'Array buffer allocation failed' },
    { kind: 'answer', id: 2, answer: true },
  ])
})

test('a piece beyond the end of the table does not end the worker', () => {
  const { sent, sendPiece } = start()
  sendPiece(1, { is: 'first', size: 1, backends: [], recordOctets: 9, slotCount: 2 })
  sendPiece(2, { is: 'records', at: 8, octets: new Uint8Array(2) })
  assert.deepEqual(
    sent.map(({ kind }) => kind),
    ['answer', 'no-answer'],
  )
})
