import assert from 'node:assert/strict'
import { test } from 'node:test'
import { remember } from '../../../src/protocol/remember.ts'

test('parses each text once, though the result is nothing', () => {
  const parsed: string[] = []
  const parse = remember((text) => {
    parsed.push(text)
    return text === '' ? undefined : text.length
  })
  assert.deepEqual([parse('four'), parse(''), parse('four'), parse('')], [4, undefined, 4, undefined])
  assert.deepEqual(parsed, ['four', ''])
})

test('drops old results if every input is different', () => {
  let parsed = 0
  const parse = remember(() => ++parsed)
  for (let n = 0; n < 1000; n++) parse(`text ${n}`)
  assert.equal(parse('text 999'), 1000, 'the last is known')
  assert.equal(parse('text 0'), 1001, 'the first is not, so not all are kept')
})
