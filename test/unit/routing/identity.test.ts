import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { asOctets, type Octets } from '../../../src/octets.ts'
import { domainOf, identifyUser } from '../../../src/routing/identity.ts'
import type { NameRules } from '../../../src/user-name.ts'
import { rulesWith } from '../../support/user-name.ts'

const normalise = (octets: Octets, rules: NameRules): string | undefined => identifyUser(octets, rules)?.user
const normaliseUser = (octets: string, defaultDomain: string | undefined): string | undefined =>
  normalise(asOctets(octets), rulesWith({ defaultDomain }))

/** What a client calls itself, and the name that routes are kept under. */
const NAMES: [name: string, domain: string | undefined, user: string | undefined][] = [
  ['alice@example.test', undefined, 'alice@example.test'],
  ['alice@EXAMPLE.Test', undefined, 'alice@example.test'],
  ['Alice@example.test', undefined, 'Alice@example.test'],
  ['alice', 'example.test', 'alice@example.test'],
  ['alice', 'Example.Test', 'alice@example.test'],
  ['alice', undefined, 'alice'],
  ['alice@other.test', 'example.test', 'alice@other.test'],
  ["a.b_c+d-e=f&g'h~i#j!k$l", undefined, "a.b_c+d-e=f&g'h~i#j!k$l"],
  ['alice@xn--bcher-kva.test', undefined, 'alice@bücher.test'],
  ['', 'example.test', undefined],
  ['@example.test', undefined, undefined],
  ['alice@', 'example.test', undefined],
  ['alice@bob@example.test', undefined, undefined],
  ['alice@.test', undefined, undefined],
  ['alice@test.', undefined, undefined],
  ['alice@-a', undefined, undefined],
  ['alice@a b', undefined, undefined],
  ['alice@[127.0.0.1]', undefined, undefined],
  ['al ice', undefined, undefined],
  ['alice*', undefined, undefined],
  ['al/ice', undefined, undefined],
  ['../alice', undefined, undefined],
  ['alice:x', undefined, undefined],
  ['alice%example.test', undefined, undefined],
  ['"alice"', undefined, undefined],
  ['al\\ice', undefined, undefined],
  ['al{ice}', undefined, undefined],
  ['al?ice', undefined, undefined],
  ['al[ice]', undefined, undefined],
  ['alice\r\nDEL x', undefined, undefined],
  ['alice\0', undefined, undefined],
  ['alice\x7f', undefined, undefined],
  ['alice\t', undefined, undefined],
  ['x'.repeat(320), undefined, 'x'.repeat(320)],
  ['x'.repeat(321), undefined, undefined],
  ['x'.repeat(320), 'example.test', undefined],
  // a capital dotted I folds into a letter and a mark
  [Buffer.from('a@\u0130x.test').toString('latin1'), undefined, 'a@i\u0307x.test'],
]

for (const [name, domain, user] of NAMES)
  test(`takes ${JSON.stringify(name.slice(0, 40))}${domain === undefined ? '' : ` in ${domain}`} for ${user === undefined ? 'no user' : user.slice(0, 40)}`, () => {
    assert.equal(normaliseUser(name, domain), user)
  })

test('takes the same name typed in two ways for one', () => {
  const composed = Buffer.from('j\u00fcrgen@b\u00fccher.test').toString('latin1')
  const decomposed = Buffer.from('ju\u0308rgen@bu\u0308cher.test').toString('latin1')
  assert.equal(normaliseUser(composed, undefined), 'j\u00fcrgen@b\u00fccher.test')
  assert.equal(normaliseUser(decomposed, undefined), 'j\u00fcrgen@b\u00fccher.test')
})

test('refuses octets that are not UTF-8', () => {
  for (const octets of ['al\xefce', '\xc3', '\xff\xfe', '\xc0\xaf', '\xed\xa0\x80'])
    assert.equal(normaliseUser(octets, undefined), undefined)
})

test('refuses invisible and bidirectional characters', () => {
  for (const odd of ['\u200b', '\u202e', '\u00a0', '\u2028', '\ufeff', '\u0085'])
    assert.equal(normaliseUser(Buffer.from(`al${odd}ice`).toString('latin1'), undefined), undefined)
})

const name = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 30 }).map((text) => Buffer.from(text).toString('latin1')),
  fc.uint8Array({ maxLength: 30 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  fc.stringMatching(/^[a-zA-Z0-9._+-]{1,12}@[a-zA-Z0-9.-]{1,12}$/),
)

test('makes of a name that it made the same name, and never one with a control character', () => {
  fc.assert(
    fc.property(name, fc.constantFrom(undefined, 'example.test'), (octets, domain) => {
      const user = normaliseUser(octets, domain)
      if (user === undefined) return
      assert.doesNotMatch(user, /[\p{C}\p{Z}]/u)
      assert.equal(normaliseUser(Buffer.from(user).toString('latin1'), domain), user)
    }),
    { numRuns: 2000 },
  )
})

test('parts user from domain at other characters where the listener says so, and at the last @ before all', () => {
  const rules = rulesWith({ defaultDomain: 'example.test', delimiters: '+=' })
  assert.equal(normalise(asOctets('alice+Other.test'), rules), 'alice@other.test')
  assert.equal(normalise(asOctets('alice=other.test'), rules), 'alice@other.test')
  assert.equal(normalise(asOctets('alice+news@other.test'), rules), 'alice+news@other.test')
  assert.equal(normalise(asOctets('alice'), rules), 'alice@example.test')
})

test('puts the own name of an alias in its place, in any case of letters and for the default domain too', () => {
  const rules = rulesWith({ defaultDomain: 'alias.test', aliases: new Map([['alias.test', 'example.test']]) })
  assert.equal(normalise(asOctets('alice@Alias.TEST'), rules), 'alice@example.test')
  assert.equal(normalise(asOctets('alice'), rules), 'alice@example.test')
  assert.equal(normalise(asOctets('alice@sub.alias.test'), rules), 'alice@sub.alias.test')
})

test('gives the domain of a name', () => {
  assert.equal(domainOf('alice@example.test'), 'example.test')
  assert.equal(domainOf('alice'), undefined)
})
