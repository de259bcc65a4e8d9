/** Known routes as a file: what is written is read again, and what is not just that is refused whole. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import type { RememberedRoute } from '../../../../src/directory/remembered/route-cache.ts'
import { createSnapshotWriter, readSnapshot } from '../../../../src/directory/remembered/route-snapshot.ts'

const NOW_MS = 1_800_000_000_000
const STORE = 'store'
const HOUR_MS = 3_600_000

const ALICE: RememberedRoute = {
  user: 'alice@example.test',
  entry: { backend: 'store1', login: undefined, status: 'active' },
  ageMs: 1000,
}
const BOB: RememberedRoute = {
  user: 'bob@example.test',
  entry: { backend: 'store2', login: 'b', status: 'disabled' },
  ageMs: HOUR_MS - 1,
}

function write(routes: readonly RememberedRoute[], nowMs = NOW_MS, marker?: string): Buffer {
  const writer = createSnapshotWriter({ store: STORE, nowMs }, marker)
  return Buffer.from(writer.begin() + routes.map((route) => writer.add([route])).join('') + writer.end())
}

function read(bytes: Buffer, { store = STORE, nowMs = NOW_MS, maxStaleMs = HOUR_MS } = {}) {
  const found = readSnapshot(bytes, { store, nowMs, maxStaleMs })
  if ('refused' in found) return found
  const { savedAtMs, ...rest } = found
  assert.equal(typeof savedAtMs, 'number')
  return rest
}

/** A file with these lines, and a last line that vouches for them. */
function vouched(lines: readonly string[], { routes = lines.length - 1 }: { routes?: unknown } = {}): Buffer {
  const body = lines.map((line) => `${line}\n`).join('')
  return Buffer.from(`${body}${JSON.stringify({ routes, sha256: createHash('sha256').update(body).digest('hex') })}\n`)
}

const [HEADER = '', ALICE_LINE = ''] = write([ALICE]).toString().split('\n')

test('reads what was written, in its order and with its age', () => {
  assert.deepEqual(read(write([ALICE, BOB])), { routes: [ALICE, BOB] })
  assert.deepEqual(read(write([])), { routes: [] })
  assert.deepEqual(read(vouched([HEADER, ALICE_LINE])), { routes: [ALICE] })
})

test('keeps the marker, and that a route is gone', () => {
  const gone: RememberedRoute = { ...BOB, gone: true }
  assert.deepEqual(read(write([ALICE, gone], NOW_MS, 'id')), { routes: [ALICE, gone], marker: 'id' })
})

test('counts the time between two starts towards the age, and leaves out what is too old by then', () => {
  const later = read(write([ALICE, BOB]), { nowMs: NOW_MS + 5000 })
  assert.deepEqual(later, { routes: [{ ...ALICE, ageMs: 6000 }] })
})

test('accepts a clock that was set back a little', () => {
  assert.deepEqual(read(write([ALICE]), { nowMs: NOW_MS - 59_000 }), { routes: [{ ...ALICE, ageMs: 0 }] })
})

const REFUSED: Record<string, { bytes: Buffer; nowMs?: number; store?: string; refused: RegExp }> = {
  'an empty file': { bytes: Buffer.alloc(0), refused: /cut short/ },
  'a file of another kind': { bytes: Buffer.from('users:\n  alice: store1\n'), refused: /cut short or changed/ },
  'a file of null bytes': { bytes: Buffer.alloc(4096), refused: /cut short/ },
  'one line': { bytes: Buffer.from('{}\n'), refused: /cut short/ },
  'a file of the future': { bytes: write([ALICE]), nowMs: NOW_MS - 61_000, refused: /future/ },
  'a file of another Redis': { bytes: write([ALICE]), store: 'other', refused: /another Redis or another prefix/ },
  'a file of another version': {
    bytes: vouched([HEADER.replace('"version":1', '"version":2'), ALICE_LINE]),
    refused: /another version/,
  },
  'lines that are not ours': { bytes: vouched(['{"hello":1}', ALICE_LINE]), refused: /no file of routes/ },
  'a first line that is no JSON': { bytes: vouched(['hello', ALICE_LINE]), refused: /no file of routes/ },
  'no time': { bytes: vouched([HEADER.replace(/"savedAtMs":\d+/, '"savedAtMs":null')]), refused: /future/ },
  'another number of routes': { bytes: vouched([HEADER, ALICE_LINE], { routes: 2 }), refused: /number/ },
}

for (const [what, { bytes, refused, ...origin }] of Object.entries(REFUSED))
  test(`refuses ${what}`, () => {
    const found = read(bytes, origin)
    assert.ok('refused' in found)
    assert.match(found.refused, refused)
  })

/** Lines for which the last line vouches all the same: who can write the file can do that too. */
const POISONED: Record<string, string> = {
  'no list': '{}',
  'an empty line': '',
  'a field too few': '["a@b.test","store1",0,null]',
  'a field too many': '["a@b.test","store1",0,null,"active",1]',
  'no user': '[null,"store1",0,null,"active"]',
  'a user with a line break': '["a\\r\\nb@b.test","store1",0,null,"active"]',
  'a user that is no name': '["a b@b.test","store1",0,null,"active"]',
  'a user that is too long': `["${'a'.repeat(321)}","store1",0,null,"active"]`,
  'no back end': '["a@b.test",null,0,null,"active"]',
  'a back end that is too long': `["a@b.test","${'s'.repeat(321)}",0,null,"active"]`,
  'a login that is no text': '["a@b.test","store1",0,7,"active"]',
  'a status that there is none of': '["a@b.test","store1",0,null,"paused"]',
  'no age': '["a@b.test","store1",null,null,"active"]',
  'an age from after it was written': `["a@b.test","store1",${NOW_MS + 1},null,"active"]`,
}

for (const [what, line] of Object.entries(POISONED))
  test(`refuses a file in which a route has ${what}`, () => {
    assert.deepEqual(read(vouched([HEADER, ALICE_LINE, line])), { refused: 'a route in it makes no sense' })
  })

test('refuses a file that was cut short anywhere, or in which any bit was changed', () => {
  const whole = write([ALICE, BOB])
  for (let length = 0; length < whole.length; length++)
    assert.ok('refused' in read(whole.subarray(0, length)), `${length}`)
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Buffer.from(whole)
      changed[at] = changed[at]! ^ flip
      const found = read(changed)
      // White space about the last line's JSON says nothing.
      assert.ok('refused' in found || JSON.stringify(found) === JSON.stringify(read(whole)))
    }),
    { numRuns: 2000 },
  )
})

test('throws for no input', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => void read(Buffer.from(bytes))),
    { numRuns: 2000 },
  )
  fc.assert(
    fc.property(fc.array(fc.string()), fc.json(), (lines, json) => void read(vouched([HEADER, json, ...lines]))),
  )
})

const name = fc
  .stringMatching(/^[a-zA-Z0-9._+\-=&'~#!$\u00e0-\u00f6]{1,30}$/)
  .map((local) => `${local.normalize('NFC')}@example.test`)
const text = fc.string({ unit: 'binary', maxLength: 100 })
const route: fc.Arbitrary<RememberedRoute> = fc
  .tuple(
    name,
    text,
    fc.option(text, { nil: undefined }),
    fc.constantFrom('active', 'hold', 'disabled'),
    fc.nat(HOUR_MS - 1),
  )
  .map(([user, backend, login, status, ageMs]) => ({ user, entry: { backend, login, status }, ageMs }))

test('reads again whatever a store may have given', () => {
  fc.assert(
    fc.property(fc.array(route, { maxLength: 20 }), (routes) => {
      assert.deepEqual(read(write(routes)), { routes })
    }),
  )
})
