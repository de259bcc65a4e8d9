/** The grammar of ManageSieve (RFC 5804 4): tokens, strings and responses; and what is read of capabilities (RFC 5804 1.7). */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MECHANISMS } from '../../../../src/config/settings.ts'
import { hasCode } from '../../../../src/errors.ts'
import {
  announceable,
  clientCapability,
  mechanismsIn,
  parseBackendCapability,
} from '../../../../src/protocol/managesieve/capability.ts'
import {
  formatClientString,
  formatString,
  MAX_STRING_BYTES,
  parseResponse,
  readTokens,
  tokenize,
  type Response,
  type Token,
} from '../../../../src/protocol/managesieve/parse.ts'
import type { DialogueFacts } from '../../../../src/protocol/protocol.ts'
import { MemoryWire } from '../../../support/memory-wire.ts'

const word = (text: string): Token => ({ kind: 'word', text })
const string = (text: string): Token => ({ kind: 'string', text })
const parenthesis = (text: string): Token => ({ kind: 'parenthesis', text })

const TOKENS: [text: string, tokens: Token[] | undefined][] = [
  ['', []],
  ['   ', []],
  ['NOOP', [word('NOOP')]],
  ['  NOOP   "a"  ', [word('NOOP'), string('a')]],
  ['OK(X)"a"', [word('OK'), parenthesis('('), word('X'), parenthesis(')'), string('a')]],
  ['"a b" ""', [string('a b'), string('')]],
  ['"a \\"b\\" \\\\ \\c"', [string('a "b" \\ c')]],
  ['"(x) {3}"', [string('(x) {3}')]],
  ['""""', [string(''), string('')]],
  ['LIMIT/X-1 a+b=', [word('LIMIT/X-1'), word('a+b=')]],
  ['"gr\xfcn" \xfc', [string('gr\xfcn'), word('\xfc')]],
  ['"a', undefined],
  ['a "b', undefined],
  ['"a\\"', undefined],
  ['"a\0"', undefined],
  ['"a\\\0"', undefined],
  ['a\0', undefined],
  ['a\tb', undefined],
  ['\ta', undefined],
  ['a {', undefined],
  ['a }', undefined],
  ['{3}', undefined],
  ['a\\b', undefined],
]

for (const [text, tokens] of TOKENS)
  test(`reads ${JSON.stringify(text)} as ${tokens ? `${tokens.length} tokens` : 'malformed'}`, () => {
    assert.deepEqual(tokenize(text), tokens)
    // An expression that keeps its place must not keep it for the next text.
    assert.deepEqual(tokenize(text), tokens)
  })

const RESPONSES: [text: string, response: Response | undefined][] = [
  ['OK', { type: 'OK', code: undefined, codeArguments: [], text: '' }],
  ['ok "a"', { type: 'OK', code: undefined, codeArguments: [], text: 'a' }],
  ['No bare', { type: 'NO', code: undefined, codeArguments: [], text: 'bare' }],
  ['bye (trylater) "a"', { type: 'BYE', code: 'TRYLATER', codeArguments: [], text: 'a' }],
  ['OK (SASL "x" y) "a"', { type: 'OK', code: 'SASL', codeArguments: ['x', 'y'], text: 'a' }],
  ['OK (A)', { type: 'OK', code: 'A', codeArguments: [], text: '' }],
  ['OK "("', { type: 'OK', code: undefined, codeArguments: [], text: '(' }],
  ['"a" b', { type: 'data', tokens: [string('a'), word('b')] }],
  ['"OK"', { type: 'data', tokens: [string('OK')] }],
  ['', undefined],
  ['LISTSCRIPTS', undefined],
  ['(OK)', undefined],
  ['OK "a" "b"', undefined],
  ['OK (A) "a" "b"', undefined],
  ['OK ()', undefined],
  ['OK () "a"', undefined],
  ['OK (A "a"', undefined],
  ['OK ("A") "a"', undefined],
  ['OK ((A) "a"', undefined],
  ['OK )', undefined],
  ['OK (A) )', undefined],
  ['OK (A) (', undefined],
  ['OK (A ")"', undefined],
]

for (const [text, response] of RESPONSES)
  test(`takes ${text || 'nothing'} for ${response?.type ?? 'no response'}`, () => {
    assert.deepEqual(parseResponse(tokenize(text) ?? []), response)
  })

for (const [what, text, written] of [
  ['quotes', 'a "b" \\', '"a \\"b\\" \\\\"'],
  ['1,024 octets', 'x'.repeat(1024), `"${'x'.repeat(1024)}"`],
  ['1,025 octets', 'x'.repeat(1025), `{1025}\r\n${'x'.repeat(1025)}`],
  ['a CR', 'a\rb', '{3}\r\na\rb'],
  ['a LF', 'a\n', '{2}\r\na\n'],
  ['a NUL', '\0', '{1}\r\n\0'],
  ['a marker of a literal', 'a {3}', '"a {3}"'],
  ['nothing', '', '""'],
] as const)
  test(`writes a string with ${what}`, () => {
    assert.equal(formatString(text), written)
    assert.equal(formatClientString(text), written.replace(/^\{(\d+)\}/, '{$1+}'))
  })

/** Reads one command. @returns its tokens, or why there are none */
async function read(input: string, lineBytes = 100): Promise<Token[] | string | undefined> {
  const wire = new MemoryWire('client', { secure: true })
  const reading = wire
    .readLine(1000)
    .then((line) => readTokens(wire, line, lineBytes, 'client-literal-too-large'))
    .catch((error: unknown) => (hasCode(error, 'client-literal-too-large') ? error.message : 'gone'))
  await wire.send(input)
  await wire.end()
  return reading
}

test('reads the literals of a command, and what stands between them', async () => {
  assert.deepEqual(await read('A {3+}\r\n"b" {0}\r\n C\r\n'), [word('A'), string('"b"'), string(''), word('C')])
  assert.deepEqual(await read('A {2}\r\n( )\r\n'), [word('A'), string('( '), parenthesis(')')])
  assert.equal(await read('A {2}\r\nab"\r\n'), undefined)
  assert.equal(await read('"A {2}\r\nab"\r\n'), undefined)
})

test('refuses a literal that is too large by itself, or with the rest', async () => {
  assert.equal(MAX_STRING_BYTES, 65_536)
  assert.equal(await read('A {65537+}\r\n'), 'a literal of 65537 bytes before login')
  assert.equal(await read('A {65536+}\r\n'), 'gone')
  const two = (bytes: number): string => `A {65536+}\r\n${'x'.repeat(65_536)} {${bytes}+}\r\n`
  // 80 KiB in all: 10 octets of the first line, 65,536, the second line, and the second literal.
  const most = 80 * 1024 - 'A {65536+}'.length - 65_536 - ' {16366+}'.length
  assert.equal(await read(two(most)), 'gone')
  assert.equal(await read(two(most + 1)), `a literal of ${most + 1} bytes before login`)
})

const facts = (changes: Partial<DialogueFacts> = {}): DialogueFacts => ({
  banner: '',
  product: 'a "mux"',
  startTlsOffered: true,
  allowPlaintextAuth: false,
  mechanisms: ['PLAIN', 'LOGIN'],
  announced: [],
  maxLineBytes: 8192,
  maxBadCommands: 3,
  maxWrongPasswords: 5,
  ...changes,
})

test('announces its own capabilities, the mechanisms that are offered now, and VERSION last', () => {
  const lines = (secure: boolean, announced: string[] = []): string[] =>
    clientCapability(facts({ announced }), new MemoryWire('client', { secure })).split('\r\n')
  assert.deepEqual(lines(true), [
    '"IMPLEMENTATION" "a \\"mux\\""',
    '"SIEVE" "fileinto"',
    '"SASL" "PLAIN LOGIN"',
    '"X-PROXY-TTL"',
    '"VERSION" "1.0"',
    '',
  ])
  assert.deepEqual(
    lines(false, ['SIEVE a', 'SIEVES x', 'SIEVE b', 'NOTIFY c', 'MAXREDIRECTS 9', 'MAXREDIRECTS 10', 'EXTLISTS d']),
    [
      '"IMPLEMENTATION" "a \\"mux\\""',
      '"SIEVE" "a b"',
      '"NOTIFY" "c"',
      '"MAXREDIRECTS" "10"',
      '"EXTLISTS" "d"',
      '"SASL" ""',
      '"STARTTLS"',
      '"X-PROXY-TTL"',
      '"VERSION" "1.0"',
      '',
    ],
  )
})

const tokensOf = (...lines: string[]): Token[][] => lines.map((line) => tokenize(line) ?? [])

test('reads each word of a capability of a back end, and passes over what is no word', () => {
  const long = 'x'.repeat(128)
  const capability = parseBackendCapability(
    tokensOf(
      '"implementation" "Dovecot"',
      `"Sieve" "fileinto  vacation a\tb ${long} ${long}x !#[]~ \xfc"`,
      '"NOTIFY" "mailto"',
      '"extlists" "tag:x"',
      '"SASL" "plain Scram-Sha-256 x-other"',
      '"SIEVE"',
      '"VERSION" "1.0"',
      '"STARTTLS"',
      '"XCLIENT"',
      '"X-PROXY-TTL"',
    ),
  )
  assert.deepEqual(capability, {
    words: [
      ...['SIEVE fileinto', 'SIEVE vacation', `SIEVE ${long}`, 'SIEVE !#[]~', 'NOTIFY mailto', 'EXTLISTS tag:x'],
      ...['SASL PLAIN', 'SASL SCRAM-SHA-256', 'SASL X-OTHER'],
    ],
    mechanisms: ['PLAIN', 'SCRAM-SHA-256'],
    canStartTls: true,
    xclient: true,
    proxyTtl: true,
  })
})

test('reads of a back end that announces little no more than that', () => {
  const nothing = { words: [], mechanisms: [], canStartTls: false, xclient: false, proxyTtl: false }
  assert.deepEqual(
    parseBackendCapability(tokensOf('"SIEVE"', '"MAXREDIRECTS"', '"X-LIMIT" "4"', '"XSTARTTLS"', '')),
    nothing,
  )
})

for (const [value, most] of [
  ['0', 0],
  ['4', 4],
  ['32', 32],
  ['33', 32],
  ['999999999', 32],
  ['1000000000', undefined],
  ['', undefined],
  ['x', undefined],
  ['4x', undefined],
  ['x4', undefined],
  ['-1', undefined],
] as const)
  test(`counts MAXREDIRECTS "${value}" as ${most ?? 'none'}`, () => {
    const words = most === undefined ? [] : Array.from({ length: most + 1 }, (_, count) => `MAXREDIRECTS ${count}`)
    assert.deepEqual(parseBackendCapability(tokensOf(`"maxredirects" "${value}"`)).words, words)
  })

test('parts the words about sessions from the mechanisms', () => {
  const words = ['SIEVE a', 'SASL PLAIN', 'SASLX y', 'NOTIFY SASL', 'SASL LOGIN']
  assert.deepEqual(announceable(words), ['SIEVE a', 'SASLX y', 'NOTIFY SASL'])
  assert.deepEqual(
    mechanismsIn(words),
    MECHANISMS.filter((name) => name === 'PLAIN' || name === 'LOGIN'),
  )
  assert.deepEqual(mechanismsIn(['PLAIN', 'SASL', 'SASL PLAIN-X', 'sasl PLAIN']), [])
})
