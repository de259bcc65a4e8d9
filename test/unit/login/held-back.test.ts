/** Which login ends when its place is needed. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createHeldBack } from '../../../src/login/held-back.ts'

function play() {
  const heldBack = createHeldBack()
  const ended: string[] = []
  const released: string[] = []
  const add = (kind: 'refused' | 'delayed', name: string, listener = 'imap') =>
    heldBack.add(
      kind,
      { listener: { name: listener }, releaseLease: () => void released.push(name) },
      ({ code }) => void ended.push(`${name}: ${code}`),
    )
  return { heldBack, ended, released, add }
}

test('ends the refused login that waits for longest, and a delayed login only if no refused one is left', () => {
  const { heldBack, ended, add } = play()
  add('delayed', 'a')
  add('refused', 'b')
  add('delayed', 'c')
  add('refused', 'd')
  for (let n = 0; n < 4; n++) assert.equal(heldBack.endOldest(), true)
  assert.equal(heldBack.endOldest(), false)
  const code = 'too-many-connections'
  assert.deepEqual(ended, [`b: ${code}`, `d: ${code}`, `a: ${code}`, `c: ${code}`])
})

test('ends no login whose wait is over', () => {
  const { heldBack, ended, add } = play()
  const over = add('refused', 'a')
  add('refused', 'b')
  over()
  assert.equal(heldBack.endOldest(), true)
  assert.equal(heldBack.endOldest(), false)
  assert.deepEqual(ended, ['b: too-many-connections'])
})

test('ends the oldest login of one listener, and gives back what its connection holds of limits', () => {
  const { heldBack, ended, released, add } = play()
  add('refused', 'a')
  add('delayed', 'b', 'pop3')
  add('refused', 'c', 'pop3')()
  assert.equal(heldBack.endOldest('pop3'), true)
  assert.equal(heldBack.endOldest('pop3'), false)
  assert.deepEqual([ended, released], [['b: too-many-connections'], ['b']])
  assert.equal(heldBack.endOldest(), true)
  assert.equal(heldBack.endOldest('imap'), false)
  assert.deepEqual(released, ['b', 'a'])
})
