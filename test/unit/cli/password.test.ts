import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { readPassword, takeKeys, type PasswordInput } from '../../../src/cli/password.ts'

/** What is read of these pieces; at a terminal, with all that was done to it. */
async function read(pieces: string[], isTTY = false) {
  const done: string[] = []
  const input = Object.assign(Readable.from(pieces.map((piece) => Buffer.from(piece))), {
    isTTY,
    setRawMode: (raw: boolean) => done.push(raw ? 'raw' : 'cooked'),
  }) as unknown as PasswordInput
  const password = await readPassword(input, (text) => done.push(text))
  return { password, done }
}

test('takes the first line of what is piped in, and shows no prompt', async () => {
  for (const [text, password] of [
    ['secret\n', 'secret'],
    ['secret', 'secret'],
    ['secret\r\nmore\n', 'secret'],
    ['se cret \n', 'se cret '],
    ['wörd\n', 'wörd'],
    ['a\u007fb\n', 'a\u007fb'],
    ['', undefined],
    ['\n', undefined],
    [`${'x'.repeat(1001)}\n`, undefined],
  ] as const)
    assert.deepEqual(await read([text]), { password, done: [] })
})

test('takes a terminal out of its echo before it asks, and puts it back', async () => {
  assert.deepEqual(await read(['sec', 'ret\r'], true), {
    password: 'secret',
    done: ['raw', 'Password: ', 'cooked', '\n'],
  })
  assert.deepEqual((await read(['sec\u0003'], true)).password, undefined, 'Ctrl-C')
})

test('follows the keys that edit a line at a terminal', () => {
  for (const [keys, text] of [
    ['secrex\u007ft\r', 'secret'],
    ['wör\b\b\r', 'w'],
    ['😀\u007f\r', ''],
    ['wrong\u0015right\r', 'right'],
    ['a\u0004', 'a'],
  ] as const)
    assert.deepEqual(takeKeys('', keys, true), { text, done: true })
})
