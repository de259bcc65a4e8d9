/** What each script of a move is asked, and what its answers mean. test/e2e/move-store.test.ts runs the scripts in a real Redis. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMoveStore, type MoveStore } from '../../../../src/directory/redis/move-store.ts'

/** A store whose Redis gives this answer to each script, and what it was asked. */
function answering(answer: unknown) {
  const asked: unknown[] = []
  const scripts = new Set<string>()
  const store = createMoveStore(
    {
      eval(script, keys, ...values) {
        scripts.add(script)
        asked.push([keys, ...values])
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
      },
    },
    'mailmux:',
  )
  return { store, asked, scripts }
}

const CALLS: Record<string, (store: MoveStore) => Promise<unknown>> = {
  take: (store) => store.take('alice', 'store1', 'token', 'host', 60),
  renew: (store) => store.renew('alice', 'token', 60),
  switch: (store) => store.switch('alice', 'token', 'store1', 'store2'),
  release: (store) => store.release('alice', 'token'),
  read: (store) => store.read('alice'),
}

const NO_HOLDER = { by: undefined, sinceSeconds: undefined }

const ANSWERS: [call: string, answer: unknown, meaning: unknown][] = [
  ['take', ['taken'], { kind: 'taken' }],
  ['take', ['unknown'], { kind: 'unknown' }],
  ['take', ['elsewhere', 'store3'], { kind: 'elsewhere', backend: 'store3' }],
  ['take', ['status', 'disabled'], { kind: 'status', status: 'disabled' }],
  ['take', ['status', 'x'.repeat(1000)], { kind: 'status', status: 'x'.repeat(40) }],
  ['take', ['held', null], { kind: 'held', ...NO_HOLDER }],
  ['take', ['held', false], { kind: 'held', ...NO_HOLDER }],
  ['take', ['held', 'mux 1 700000000'], { kind: 'held', by: 'mux 1', sinceSeconds: 700_000_000 }],
  ['take', ['held', `${'h'.repeat(1000)} 7`], { kind: 'held', by: 'h'.repeat(100), sinceSeconds: 7 }],
  ['take', ['held', 'of another program'], { kind: 'held', by: 'of another program', sinceSeconds: undefined }],
  ['renew', 1, true],
  ['renew', 0, false],
  ['switch', ['switched'], { kind: 'switched' }],
  ['switch', ['lost', 'store3'], { kind: 'lost', backend: 'store3' }],
  ['switch', ['lost', null], { kind: 'lost', backend: undefined }],
  ['release', ['store1'], 'store1'],
  ['release', [null], undefined],
  ['read', [null, null, null], { backend: undefined, status: undefined, hold: undefined }],
  ['read', ['store1', 'disabled', null], { backend: 'store1', status: 'disabled', hold: undefined }],
  // The hold has expired: the user counts as active.
  ['read', ['store1', 'hold', null], { backend: 'store1', status: undefined, hold: undefined }],
  ['read', ['store1', 'hold', ''], { backend: 'store1', status: 'hold', hold: NO_HOLDER }],
  ['read', ['store1', 'hold', 'mux 7'], { backend: 'store1', status: 'hold', hold: { by: 'mux', sinceSeconds: 7 } }],
]

test('reads what each script answers', async () => {
  for (const [call, answer, meaning] of ANSWERS)
    assert.deepEqual(await CALLS[call]?.(answering(answer).store), meaning, `${call}: ${JSON.stringify(answer)}`)
})

test('asks each script about the key of the user, with its values', async () => {
  const asked = {
    take: ['store1', 'token', 'host', '60'],
    renew: ['token', '60'],
    switch: ['token', 'store1', 'store2'],
    release: ['token'],
    read: [],
  }
  const all = new Set<string>()
  for (const [call, values] of Object.entries(asked)) {
    const opened = answering(null)
    await CALLS[call]?.(opened.store).catch(() => undefined)
    assert.deepEqual(opened.asked, [[['mailmux:user:alice'], ...values]])
    for (const script of opened.scripts) all.add(script)
  }
  assert.equal(all.size, 5, 'each call has a script of its own')
})

test('is unavailable where Redis fails, and where it answers in another form', async () => {
  const other = { code: 'directory-unavailable', message: 'Redis: a script of a move was answered in another form' }
  const odd: [string, unknown[]][] = [
    ['take', [null, 'taken', [], ['elsewhere'], ['elsewhere', null], ['status', null], ['other'], [['taken']], [{}]]],
    ['renew', [null, 2, '1', [1], true]],
    ['switch', [null, [], ['taken'], [{}]]],
    ['release', [null, 'store1', [[]]]],
    ['read', [null, 1, [{}]]],
  ]
  for (const [call, answers] of odd)
    for (const answer of answers)
      await assert.rejects(
        async () => CALLS[call]?.(answering(answer).store),
        other,
        `${call} ${JSON.stringify(answer)}`,
      )
  const failure = Object.assign(new Error('LOADING wait'), { name: 'ReplyError' })
  for (const call of Object.values(CALLS))
    await assert.rejects(call(answering(failure).store), {
      code: 'directory-unavailable',
      message: 'Redis: LOADING wait',
    })
})
