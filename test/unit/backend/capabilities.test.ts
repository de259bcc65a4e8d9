import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createCapabilityBook } from '../../../src/backend/capabilities.ts'
import { keepLog } from './fixture.ts'

test('has no capabilities before a back end was reached', () => {
  const book = createCapabilityBook(keepLog().log)
  assert.equal(book.common('imap', ['a', 'b']), undefined)
  assert.equal(book.common('imap', []), undefined)
})

test('holds in common what every back end has announced, as the first spelt it and in its order', () => {
  const book = createCapabilityBook(keepLog().log)
  book.learn('imap', 'a', ['IMAP4rev1', 'Idle', 'MOVE', 'QUOTA'])
  book.learn('imap', 'b', ['MOVE', 'IMAP4REV1', 'IDLE', 'SORT'])
  assert.deepEqual(book.common('imap', ['a', 'b']), ['IMAP4rev1', 'Idle', 'MOVE'])
  assert.deepEqual(book.common('imap', ['b', 'a']), ['MOVE', 'IMAP4REV1', 'IDLE'])
  assert.deepEqual(book.common('imap', ['b']), ['MOVE', 'IMAP4REV1', 'IDLE', 'SORT'])
})

test('does not count a back end that was never reached', () => {
  const book = createCapabilityBook(keepLog().log)
  book.learn('imap', 'a', ['IMAP4rev1', 'IDLE'])
  assert.deepEqual(book.common('imap', ['never', 'a']), ['IMAP4rev1', 'IDLE'])
})

test('counts a back end that has announced nothing', () => {
  const book = createCapabilityBook(keepLog().log)
  book.learn('pop3', 'a', ['TOP'])
  book.learn('pop3', 'b', [])
  assert.deepEqual(book.common('pop3', ['a', 'b']), [])
})

test('does not count a back end that is not asked about', () => {
  const book = createCapabilityBook(keepLog().log)
  book.learn('imap', 'a', ['IDLE'])
  book.learn('imap', 'gone', [])
  assert.deepEqual(book.common('imap', ['a']), ['IDLE'])
})

test('keeps protocols apart', () => {
  const book = createCapabilityBook(keepLog().log)
  book.learn('imap', 'a', ['IDLE'])
  assert.equal(book.common('pop3', ['a']), undefined)
})

test('keeps its version until something changes', () => {
  const book = createCapabilityBook(keepLog().log)
  book.learn('imap', 'a', ['IDLE', 'MOVE'])
  const before = book.version()
  book.learn('imap', 'a', ['MOVE', 'IDLE'])
  assert.equal(book.version(), before)
  book.learn('imap', 'a', ['MOVE'])
  assert.notEqual(book.version(), before)
  assert.deepEqual(book.common('imap', ['a']), ['MOVE'])
})

test('computes anew for a back end that is reached late', () => {
  const book = createCapabilityBook(keepLog().log)
  book.learn('imap', 'a', ['IDLE', 'MOVE'])
  assert.deepEqual(book.common('imap', ['a', 'b']), ['IDLE', 'MOVE'])
  book.learn('imap', 'b', ['MOVE'])
  assert.deepEqual(book.common('imap', ['a', 'b']), ['MOVE'])
})

test('logs a change once, with the capabilities gained and lost, and not the first announcement', () => {
  const { log, lines } = keepLog()
  const book = createCapabilityBook(log)
  book.learn('imap', 'a', ['IDLE', 'MOVE'])
  book.learn('imap', 'a', ['IDLE', 'MOVE'])
  book.learn('imap', 'b', ['SORT'])
  assert.deepEqual(lines, [])
  book.learn('imap', 'a', ['SORT', 'IDLE'])
  book.learn('imap', 'a', ['IDLE', 'SORT'])
  assert.deepEqual(lines, [
    {
      level: 'warn',
      message: 'capabilities changed',
      protocol: 'imap',
      backend: 'a',
      gained: ['SORT'],
      lost: ['MOVE'],
    },
  ])
  book.learn('imap', 'a', ['IDLE', 'MOVE'])
  assert.equal(lines.length, 2)
})

const words = fc.subarray(['IDLE', 'idle', 'MOVE', 'SORT', 'QUOTA', 'ID', 'Sort'])

test('has exactly the capabilities that all lists have, after any sequence of announcements', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), words), { maxLength: 12 }), (learned) => {
      const book = createCapabilityBook(keepLog().log)
      const last = new Map<string, string[]>()
      for (const [name, list] of learned) {
        book.learn('imap', name, list)
        last.set(name, list)
        const lists = ['a', 'b', 'c'].flatMap((one) =>
          last.has(one) ? [last.get(one)!.map((word) => word.toUpperCase())] : [],
        )
        const wanted = new Set(lists[0]?.filter((word) => lists.every((other) => other.includes(word))))
        assert.deepEqual(new Set(book.common('imap', ['a', 'b', 'c'])?.map((word) => word.toUpperCase())), wanted)
      }
    }),
  )
})
