/** What the processor was doing in a sample of perf, and whose function had it done. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { callerOf, causeOf, NO_FOLDER, readSamples } from '../../bench/profile/causes.ts'
import { addUp, causeTable } from '../../bench/profile/render.ts'
import type { Profile } from '../../bench/profile/record.ts'

const NODE = '/usr/bin/node'
const LIBC = '/usr/lib/libc.so.6'
const NAMES = '/tmp/perf-7.map'

const carry = { symbol: 'JS:*carry file:///home/x/mailmux/src/relay/carry.ts:12:3', file: NAMES }
const sample = (symbol: string, file: string, thread = 'node') => ({ thread, frames: [{ symbol, file }, carry] })

describe('the cause of a sample is', () => {
  for (const [cause, symbol, file, thread] of [
    ['kernel', 'tcp_sendmsg', '[kernel.kallsyms]'],
    ['malloc, memcpy and the like', '__memmove_avx_unaligned_erms', LIBC],
    ['malloc, memcpy and the like', '_int_malloc', LIBC],
    ['OpenSSL, and C code without a row', 'ossl_x25519', NODE],
    ['OpenSSL, and C code without a row', '__GI___libc_write', LIBC],
    ['V8: builtins', 'Builtins_LoadIC_Megamorphic', NODE],
    ['V8: runtime and API', 'v8::internal::StringTable::LookupString', NODE],
    ['V8: runtime and API', 'v8::Function::Call', NODE],
    ['V8: runtime and API', '_ZN2v88internal11PropertyKeyC2INS0_6ObjectE', NODE],
    ['V8: regular expressions', "RegExp.< src: '^[ -~]*$' flags: ''", NAMES],
    ['V8: garbage collection', 'v8::internal::Scavenger::Process', NODE],
    ['V8: garbage collection', 'memory_of_its_own', NODE, 'V8Worker'],
    ['V8: compiling', 'v8::internal::compiler::Node::New', NODE],
    ['V8: compiling', 'v8::internal::compiler::Node::New', NODE, 'V8Worker'],
    ["node's C++", 'node::LibuvStreamWrap::OnUvRead', NODE],
    ['libuv', 'uv__io_poll', NODE],
    ["node's own JavaScript", "JS:*'onStreamRead node:internal/stream_base_commons:166:22", NAMES],
    ['mailmux: src/relay', carry.symbol, NAMES],
    ['mailmux: src', 'JS:~build /home/x/mailmux/src/app.ts:3:1', NAMES],
    ['mailmux: src/relay', 'Builtins_LdaZeroHandler', NODE],
    ['JavaScript of dependencies', 'JS:*asJson /home/x/mailmux/node_modules/pino/lib/tools.js:1:1', NAMES],
    ['the relay itself', 'JS:*join file:///home/x/mailmux/test/bench/bare-relay.ts:66:1', NAMES],
  ] as const)
    test(`${cause} in ${symbol}${thread === undefined ? '' : ` of ${thread}`}`, () => {
      assert.equal(causeOf(sample(symbol, file, thread)), cause)
    })

  test('a collection for whatever it calls', () => {
    const frames = ['__memset_avx2', 'v8::internal::Heap::CollectGarbage'].map((symbol) => ({ symbol, file: LIBC }))
    assert.equal(causeOf({ thread: 'node', frames }), 'V8: garbage collection')
  })
})

test('the caller is the folder of the innermost function of mailmux', () => {
  assert.equal(callerOf(sample('tcp_sendmsg', '[kernel.kallsyms]')), 'src/relay')
  assert.equal(callerOf({ thread: 'V8Worker', frames: [] }), NO_FOLDER)
})

test('the output of perf is read, with blanks and brackets in the names', () => {
  const text = `node-MainThread 14276
\t    7f104f827fca JS:*a b (c) node:net:72:35 (/tmp/perf-7.map)
\tffffffff82058666 ip_send_check ([kernel.kallsyms])

V8Worker 3
\t          b544ce v8::internal::(anonymous namespace)::Invoke (/usr/bin/node)

`
  assert.deepEqual(readSamples(text), [
    {
      thread: 'node-MainThread 14276',
      frames: [
        { symbol: 'JS:*a b (c) node:net:72:35', file: NAMES },
        { symbol: 'ip_send_check', file: '[kernel.kallsyms]' },
      ],
    },
    { thread: 'V8Worker 3', frames: [{ symbol: 'v8::internal::(anonymous namespace)::Invoke', file: NODE }] },
  ])
})

describe('the rows', () => {
  const profile = (countedUs: number, causes: Record<string, number>): Profile => ({
    ...{ countedUs, withoutProfileUs: countedUs - 5 },
    causes: new Map(Object.entries(causes)),
    callers: new Map(),
  })
  const bare = profile(110, { kernel: 82.5, libuv: 27.5 })

  test('have the time of each cause, and the difference', () => {
    const mailmux = profile(222, { kernel: 110, 'mailmux: src/relay': 110 })
    const text = causeTable([{ title: 'clear', bare, mailmux }]).join('\n')
    assert.match(text, /\| kernel +\| +82\.5 \| +110 \| +27\.5 \|/)
    assert.match(text, /\| mailmux: src\/relay +\| +0\.00 \| +110 \| +110 \|/)
    assert.match(text, /\| sum of the rows +\| +110 \| +220 \| +110 \|/)
    assert.match(text, /\| counted by the kernel +\| +110 \| +222 \| +112 \|/)
    assert.match(text, /\| counted without a profile +\| +105 \| +217 \| +112 \|/)
  })

  test('add up when their sum differs from the counted difference by a tenth at most', () => {
    const isWithin = (us: number) => addUp([{ title: '', bare, mailmux: profile(210, { kernel: us }) }])[0]?.isWithin
    assert.deepEqual([199, 200, 220, 221].map(isWithin), [false, true, true, false])
  })
})
