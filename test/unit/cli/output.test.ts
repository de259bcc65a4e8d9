/** The end of a long output: its reader has gone, or the disk is full. */
import assert from 'node:assert/strict'
import { createWriteStream } from 'node:fs'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { createOutput } from '../../../src/cli/output.ts'

test('tells that the text is written, and that its reader has gone', async () => {
  const texts: string[] = []
  const stream = new Writable({
    write(chunk: Buffer, _, done) {
      texts.push(chunk.toString())
      done(texts.length === 1 ? null : Object.assign(new Error('write EPIPE'), { code: 'EPIPE', syscall: 'write' }))
    },
  })
  stream.on('error', () => undefined)
  const write = createOutput(stream)
  assert.equal(await write('one'), true)
  assert.equal(await write('two'), false)
  assert.deepEqual(texts, ['one', 'two'])
})

test('throws where the disk is full: a list that is cut there is not whole', async () => {
  const stream = createWriteStream('/dev/full')
  stream.on('error', () => undefined)
  await assert.rejects(createOutput(stream)('one'), { code: 'ENOSPC' })
})
