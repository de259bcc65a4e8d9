import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ProxyHeaderError, readProxyHeader } from '../../../src/net/proxy-header.ts'
import { findServerName, parseServerName } from '../../../src/tls/server-name.ts'

const RULES = new Map([
  ['mail.example.test', 'exact'],
  ['*.example.test', 'wildcard'],
  ['*.mail.example.test', 'deeper'],
  ['*', 'everybody'],
])
const WITHOUT_DEFAULT = new Map([...RULES].filter(([pattern]) => pattern !== '*'))

test('an exact rule wins, then a wildcard, then the rule for everybody', () => {
  for (const [name, found] of [
    ['mail.example.test', 'exact'],
    ['imap.example.test', 'wildcard'],
    ['a.mail.example.test', 'deeper'],
    ['example.test', 'everybody'],
    ['other.test', 'everybody'],
    ['test', 'everybody'],
    ['', 'everybody'],
    [undefined, 'everybody'],
  ] as const) {
    assert.equal(findServerName(RULES, name), found, String(name))
    assert.equal(findServerName(WITHOUT_DEFAULT, name), found === 'everybody' ? undefined : found, String(name))
  }
})

test('a wildcard stands for exactly one label', () => {
  for (const name of ['example.test', 'a.b.example.test', '.example.test', 'a..example.test', 'xexample.test']) {
    assert.equal(findServerName(new Map([['*.example.test', 1]]), name), undefined, name)
  }
})

test('upper and lower case are the same', () => {
  assert.equal(findServerName(RULES, 'MAIL.Example.TEST'), 'exact')
  assert.equal(findServerName(RULES, 'IMAP.Example.TEST'), 'wildcard')
})

test('a client cannot ask for a pattern by its own text', () => {
  for (const name of ['*', '*.example.test', '*.mail.example.test']) {
    assert.equal(findServerName(RULES, name), 'everybody')
    assert.equal(findServerName(WITHOUT_DEFAULT, name), undefined)
  }
})

test('finds nothing in no rules', () => {
  for (const name of ['mail.example.test', '*', '', undefined]) assert.equal(findServerName(new Map(), name), undefined)
})

test('a host name is a server name, in lower case; an address, a pattern or rubbish is none', () => {
  for (const [text, name] of [
    ['Mail.Example.Test', 'mail.example.test'],
    ['localhost', 'localhost'],
    ['a-b.xn--bcher-kva.example', 'a-b.xn--bcher-kva.example'],
    ['_x.internal', '_x.internal'],
    ['Mail.Example.Test.', 'mail.example.test'], // RFC 6066 3 has no dot at the end, but some clients do
  ] as const) {
    assert.equal(parseServerName(text), name)
  }
  for (const text of [
    '',
    '.',
    'a..',
    '192.0.2.1.',
    '.a',
    '-a',
    'a-',
    '*.a',
    'a b',
    'a\0',
    'é',
    '192.0.2.1',
    '::1',
    `${'a'.repeat(64)}.b`,
  ]) {
    assert.equal(parseServerName(text), undefined, text)
  }
  assert.equal(parseServerName(`${'a.'.repeat(126)}a`)?.length, 253)
  assert.equal(parseServerName(`${'a.'.repeat(126)}a.`)?.length, 253)
  assert.equal(parseServerName(`${'a.'.repeat(126)}aa`), undefined)
})

/** The name as the authority of a PROXY header; undefined where it is refused or ignored there. */
function authorityOf(name: string): string | undefined {
  const value = Buffer.from(name, 'latin1')
  const head = Buffer.from('0d0a0d0a000d0a515549540a21000000020000', 'hex')
  head.writeUInt16BE(value.length + 3, 14)
  head.writeUInt16BE(value.length, 17)
  try {
    const answer = readProxyHeader(Buffer.concat([head, value]))
    return answer === 'more' ? undefined : answer.header.authority
  } catch (error) {
    assert.ok(error instanceof ProxyHeaderError)
    return undefined
  }
}

test('the authority of a PROXY header is held to the same rule', () => {
  const texts = fc.oneof(
    fc.domain(),
    fc.ipV4(),
    fc.ipV6(),
    fc.stringMatching(/^[a-zA-Z0-9_.*-]{0,70}$/),
    fc.uint8Array({ maxLength: 5 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
  )
  fc.assert(
    fc.property(texts, (text) => assert.equal(authorityOf(text), parseServerName(text))),
    { numRuns: 2000 },
  )
})
