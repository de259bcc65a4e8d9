/** The one rule for names: what the configuration accepts, a client can use, and the other way round. */
import assert from 'node:assert/strict'
import { domainToASCII } from 'node:url'
import { test } from 'node:test'
import fc from 'fast-check'
import { normalizeUser, parseDomain, parseLogin } from '../../src/config/schema/values.ts'
import { encodeUtf8 } from '../../src/octets.ts'
import { formatLogin, identifyUser } from '../../src/routing/identity.ts'
import {
  MAX_USER_OCTETS,
  readDomain,
  type NameNote,
  type NameRules,
  type UserCase,
  readUser,
} from '../../src/user-name.ts'
import { rulesWith } from '../support/user-name.ts'

const oneOf = (characters: string): fc.Arbitrary<string> => fc.constantFrom(...Array.from(characters))

/** Characters of which names are made, and some that no name has, of many scripts. */
const character = fc.oneof(
  { weight: 4, arbitrary: oneOf('aAzZ09._+-=@') },
  { weight: 2, arbitrary: oneOf('üÜßẞσςΣİıéπаАसंपर्कผู้ใช้مَرْيَم漢字ｅ１ﬁ𝒶Ⅷ\u0301\u0308\u093e') },
  { weight: 1, arbitrary: oneOf(' *\\%/"\'\u200d\u00a0\u202e\0\ufeff') },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 1 }) },
)
const part = fc.array(character, { minLength: 1, maxLength: 8 }).map((characters) => characters.join(''))
const label = fc.oneof(part, part.map(domainToASCII), fc.constantFrom('xn--bcher-kva', 'xn--', 'xn--a', 'xn--zzzzzz'))
const name = fc.oneof(
  part,
  fc
    .tuple(part, fc.array(label, { minLength: 1, maxLength: 3 }))
    .map(([local, labels]) => `${local}@${labels.join('.')}`),
  fc.string({ unit: 'binary', maxLength: 30 }),
)
const userCase = fc.constantFrom<UserCase>('keep', 'lower')

/** The name that a client’s login is looked up by. */
const asClient = (text: string, how: UserCase): string | undefined =>
  identifyUser(encodeUtf8(text), rulesWith({ userCase: how }))?.user

/** The name that a user of the routing file is found by. */
function asConfigured(text: string, how: UserCase): string | undefined {
  const parsed = normalizeUser(text, how)
  return 'value' in parsed ? parsed.value.user : undefined
}

test('a client can use every name that the configuration accepts, and the configuration accepts every name that a client can use', () => {
  fc.assert(
    fc.property(name, userCase, (text, how) => {
      const key = asClient(text, how)
      assert.equal(asConfigured(text, how), key)
      if (key === undefined) return
      // The key, as it stands in Redis and in logs, is a name of the same user, which a client and the configuration may use as well.
      assert.equal(asClient(key, how), key)
      assert.equal(asConfigured(key, how), key)
      assert.ok('value' in parseLogin(key))
      assert.doesNotMatch(key, /[\p{C}\p{Z}*\\%/":]/u)
    }),
    { numRuns: 20_000 },
  )
})

test('a client can use every domain that the configuration accepts, in both of its forms', () => {
  fc.assert(
    fc.property(fc.array(label, { minLength: 1, maxLength: 3 }), (labels) => {
      const domain = labels.join('.')
      const parsed = parseDomain(domain)
      const key = asClient(`a@${domain}`, 'keep')
      // What has an @ in it is read as a user of another domain.
      if (!domain.includes('@')) assert.equal('value' in parsed, key !== undefined)
      if (!('value' in parsed)) return
      const read = readDomain(domain)
      assert.equal(`a@${read?.key}`, key)
      const inAscii = read?.key.split('.').map((one) => (/^[\x00-\x7f]*$/.test(one) ? one : domainToASCII(one)))
      assert.equal(readDomain(inAscii?.join('.') ?? '')?.key, read?.key)
      assert.equal(readDomain(parsed.value)?.key, read?.key)
    }),
    { numRuns: 5000 },
  )
})

test('users with lower-cased names do not differ in case', () => {
  fc.assert(
    fc.property(part, (text) => {
      const key = asClient(text, 'lower')
      if (key === undefined || /[İẞΣσς]/.test(text)) return // letters whose other case has other letters
      assert.equal(asClient(key.toUpperCase(), 'lower'), asClient(key.toUpperCase().toLowerCase(), 'lower'))
      assert.equal(key, key.toLowerCase())
    }),
  )
})

// RFC 6532 3.2, RFC 5892: marks are parts of letters in many scripts
for (const text of ['संपर्क@उदाहरण.test', 'ผู้ใช้@ตัวอย่าง.test', 'مَرْيَم@مِثَال.test', 'jürgen@bücher.test'])
  test(`takes the name ${text}`, () => {
    for (const typed of [text, text.normalize('NFD')]) assert.equal(asClient(typed, 'keep'), text.normalize('NFC'))
  })

test('takes an A-label and its U-label for one domain, and keeps how it is spelled for the back end', () => {
  for (const [typed, domain] of [
    ['alice@bücher.test', 'bücher.test'],
    ['alice@xn--bcher-kva.test', 'xn--bcher-kva.test'],
    ['alice@XN--BCHER-KVA.Test', 'xn--bcher-kva.test'],
    ['alice@BÜCHER.test', 'bücher.test'],
  ] as const) {
    const read = identifyUser(encodeUtf8(typed), rulesWith({}))
    assert.deepEqual(read, { user: 'alice@bücher.test', local: 'alice', domain })
  }
  const aliases = new Map([['bücher.test', 'xn--bcher-kva.example']])
  const read = identifyUser(encodeUtf8('alice@xn--bcher-kva.test'), rulesWith({ aliases }))
  assert.deepEqual(read, { user: 'alice@bücher.example', local: 'alice', domain: 'xn--bcher-kva.example' })
})

test('takes no label that IDNA would refuse', () => {
  for (const domain of [
    'xn--.test',
    'xn--zzzzzzzz.test',
    'ｅxample.test',
    'ﬁsh.test',
    '\u0301a.test',
    'a-.test',
    '-a.test',
    'a..test',
    '１.２',
  ])
    assert.equal(asClient(`alice@${domain}`, 'keep'), undefined, domain)
})

test('folds the case of local parts with user_case: lower only', () => {
  for (const [typed, keep, lower] of [
    ['Alice@Example.Test', 'Alice@example.test', 'alice@example.test'],
    ['ALICE', 'ALICE', 'alice'],
    ['JÜRGEN@example.test', 'JÜRGEN@example.test', 'jürgen@example.test'],
  ] as const) {
    assert.equal(asClient(typed, 'keep'), keep)
    assert.equal(asClient(typed, 'lower'), lower)
  }
})

test('begins no name with a mark', () => {
  assert.equal(asClient('\u0301alice', 'keep'), undefined)
})

test('notes why a name is refused', () => {
  const notes: NameNote[] = []
  identifyUser(encodeUtf8('alice@a b'), rulesWith({}), (note) => notes.push(note))
  assert.equal(notes.at(-1)?.what, 'wrong')
})

/** A master user’s login as a listener with these rules reads it. */
const readTyped = (text: string, rules: Partial<NameRules>, notes: NameNote[] = []) =>
  identifyUser(encodeUtf8(text), rulesWith(rules), (note) => notes.push(note))

// Dovecot's auth_master_user_separator
test('reads the owner and the master of user*master, each by the one rule for names', () => {
  fc.assert(
    fc.property(name, name, userCase, oneOf('*%|;'), (owner, master, how, masterSeparator) => {
      const read = readTyped(`${owner}${masterSeparator}${master}`, { userCase: how, masterSeparator })
      const alone = asClient(owner, how)
      const isName = alone !== undefined && asClient(master, 'keep') !== undefined
      if (!isName || Buffer.byteLength(`${owner}*${master}`) > MAX_USER_OCTETS) assert.equal(read, undefined)
      else {
        assert.equal(read?.user, alone)
        assert.equal(read.master, `${masterSeparator}${master.normalize('NFC')}`)
      }
    }),
    { numRuns: 5000 },
  )
})

test('reads every other name in the same way with a master separator and without', () => {
  fc.assert(
    fc.property(name, userCase, (text, how) => {
      if (text.includes('*')) return
      const masterSeparator = '*'
      assert.deepEqual(readTyped(text, { userCase: how, masterSeparator }), readTyped(text, { userCase: how }))
    }),
    { numRuns: 5000 },
  )
})

test('completes the owner’s name, not the master’s', () => {
  const rules = { masterSeparator: '*', defaultDomain: 'example.test', delimiters: '@%' }
  for (const [typed, user, master] of [
    ['alice*admin', 'alice@example.test', '*admin'],
    ['alice@Other.test*admin', 'alice@other.test', '*admin'],
    ['alice%other.test*admin', 'alice@other.test', '*admin'],
    ['alice*admin@corp.test', 'alice@example.test', '*admin@corp.test'],
    ['alice@other.test*Admin@corp.test', 'alice@other.test', '*Admin@corp.test'],
  ] as const) {
    const read = readTyped(typed, rules)
    assert.deepEqual([read?.user, read?.master], [user, master], typed)
  }
})

test('routes by the domain before a backslash and behind a space, and keeps the name as it is typed for the back end', () => {
  const aliases = new Map([['corp', 'corp.example']])
  const rules = { delimiters: '@\\ ', aliases, defaultDomain: 'example.test', userCase: 'lower' as const }
  for (const [typed, user, sent] of [
    ['CORP\\Alice', 'alice@corp.example', 'CORP\\alice'],
    ['other\\alice', 'alice@other', 'other\\alice'],
    ['alice Example.Test', 'alice@example.test', 'alice Example.Test'],
    ['alice@example.test', 'alice@example.test', 'alice@example.test'],
    ['alice', 'alice@example.test', 'alice@example.test'],
  ] as const) {
    const read = readTyped(typed, rules)
    assert.equal(read?.user, user)
    assert.equal(formatLogin('%u', read), sent)
  }
  const both = readTyped('CORP\\alice*admin', { ...rules, masterSeparator: '*' })
  assert.deepEqual([both?.user, both?.typed, both?.master], ['alice@corp.example', 'CORP\\alice', '*admin'])
})

test('says which setting a refused name lacks', () => {
  for (const [typed, rules, why] of [
    ['alice*admin', {}, /has a "\*".* no master_separator/],
    ['alice*admin', { masterSeparator: '%' }, /has a "\*".* master_separator is "%"/],
    ['alice%admin', { masterSeparator: '*' }, /character that no name may have/],
    ['alice*', { masterSeparator: '*' }, /behind the "\*" is no name/],
    ['alice*admin*admin', { masterSeparator: '*' }, /behind the "\*" is no name/],
    ['alice*ad min', { masterSeparator: '*' }, /behind the "\*" is no name/],
    ['*admin', { masterSeparator: '*' }, /empty before the domain/],
    ['CORP\\alice', {}, /has a backslash, .* not among the delimiters/],
    ['CORP\\alice\\shared', { delimiters: '@\\' }, /has a second backslash/],
    ['CORP\\alice@example.test', { delimiters: '@\\' }, /has a second backslash or another delimiter/],
    ['Alice Liddell', {}, /has a space, .* not among the delimiters/],
    ['Alice Liddell@example.test', { delimiters: '@ ' }, /has a second space or another delimiter/],
  ] as const) {
    const notes: NameNote[] = []
    assert.equal(readTyped(typed, rules, notes), undefined, typed)
    const last = notes.at(-1)
    assert.match(last?.what === 'wrong' ? last.why : '', why, typed)
  }
})

test('reads a plain name as the full reading does, which notes its steps', () => {
  const plain = fc.stringMatching(/^[a-zA-Z0-9._+=&'~#!$*%|\\ -]{0,12}$/)
  const label = fc.stringMatching(/^(xn--)?[a-zA-Z0-9-]{1,8}$/)
  const domain = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join('.'))
  const longDomain = fc.integer({ min: 120, max: 130 }).map((count) => 'a.'.repeat(count) + 'a')
  const name = fc.oneof(
    fc.tuple(plain, fc.constantFrom('@', '@', '%', ''), fc.oneof(domain, longDomain)).map((parts) => parts.join('')),
    fc.string(),
  )
  const rules = fc.record({
    userCase: fc.constantFrom('keep' as const, 'lower' as const),
    defaultDomain: fc.constantFrom(undefined, 'example.org'),
    delimiters: fc.constantFrom('@', '@%', '@\\'),
    masterSeparator: fc.constantFrom(undefined, '*', '|'),
    aliases: fc.constantFrom(new Map<string, string>(), new Map([['a.b', 'c.d']])),
  })
  fc.assert(
    fc.property(name, rules, (text, how) => {
      assert.deepEqual(
        readUser(text, how),
        readUser(text, how, () => undefined),
      )
    }),
    { numRuns: 2000 },
  )
})
