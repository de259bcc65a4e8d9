/** Whether a command is in progress in a ManageSieve session, and what may not pass (RFC 5804). Every case runs in all cuts. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ManagesieveWatch } from '../../../../src/protocol/managesieve/watch.ts'
import { testEveryCut, type Cut } from '../../../support/splits.ts'

/** What each side sends, in order; `C` the client, `S` the server, `idle` and `busy` what the watch must say then. */
type Step = ['C' | 'S', string] | 'idle' | 'busy'

function play(cut: Cut, steps: readonly Step[]): { toBackend: string; toClient: string; ended: string | undefined } {
  const watch = new ManagesieveWatch()
  const seen = { toBackend: '', toClient: '', ended: undefined as string | undefined }
  for (const [index, step] of steps.entries()) {
    if (typeof step === 'string') {
      assert.equal(watch.isIdle(), step === 'idle', `step ${index}`)
      continue
    }
    const [side, text] = step
    for (const piece of cut.split(text)) {
      const chunk = Buffer.from(piece, 'latin1')
      if (seen.ended !== undefined) return seen
      if (side === 'S') {
        if (!watch.fromBackend(chunk, (passed) => (seen.toClient += passed.toString('latin1')))) seen.ended = 'backend'
        continue
      }
      const result = watch.fromClient(chunk, (passed) => (seen.toBackend += passed.toString('latin1')))
      if (typeof result === 'string') seen.ended = result
      else assert.equal(result, chunk.length)
    }
  }
  return seen
}

const said = (steps: readonly Step[], side: 'C' | 'S'): string =>
  steps.flatMap((step) => (Array.isArray(step) && step[0] === side ? [step[1]] : [])).join('')

const FOLLOWED: Record<string, readonly Step[]> = {
  'a session without a command': ['idle'],
  'half a command line': [['C', 'LISTSCR'], 'busy', ['C', 'IPTS\r\n'], 'busy', ['S', 'OK "done"\r\n'], 'idle'],
  'a list': [
    ['C', 'LISTSCRIPTS\r\n'],
    'busy',
    ['S', '"main" ACTIVE\r\n"OK"\r\n"other"\r\n'],
    'busy',
    ['S', 'OK "Listscripts completed."\r\n'],
    'idle',
  ],
  'a script in a literal that looks like answers': [
    ['C', 'GETSCRIPT "main"\r\n'],
    ['S', '{18}\r\nOK\r\nNO\r\nBYE "x"\r\n'],
    'busy',
    ['S', '\r\nOK\r\n'],
    'idle',
  ],
  'a script that is uploaded': [
    ['C', 'PUTSCRIPT "main" {12+}\r\n'],
    'busy',
    ['C', 'keep;\r\n{5}\r\n'],
    'busy',
    ['C', '\r\n'],
    'busy',
    ['S', 'OK (WARNINGS) {5}\r\n'],
    'busy',
    ['S', 'a\r\nOK'],
    'busy',
    ['S', '\r\n'],
    'idle',
  ],
  'an upload that Dovecot refuses before it has come whole, because it is too large': [
    ['C', 'PUTSCRIPT "main" {9+}\r\nkeep'],
    'busy',
    ['S', 'NO (QUOTA/MAXSIZE) "Too large."\r\n'],
    'busy',
    ['C', ';\r\n\r\n'],
    'busy',
    ['C', '\r\n'],
    'idle',
    ['C', 'NOOP\r\n'],
    'busy',
    ['S', 'OK\r\n'],
    'idle',
  ],
  'commands sent together': [
    ['C', 'NOOP\r\nNOOP "a"\r\nLISTSCRIPTS\r\n'],
    ['S', 'OK\r\n'],
    'busy',
    ['S', 'ok (TAG {1}\r\na) "Done"\r\nNO (NONEXISTENT) "x"\r\n'],
    'idle',
  ],
  'empty lines, which are no commands': [['C', '\r\n\r\n'], 'idle'],
  'a quoted text with braces': [['C', 'NOOP "{5}"\r\n'], 'busy', ['S', 'OK (TAG "{5}") "{5}"\r\n'], 'idle'],
  'a BYE that ends the session': [['S', 'BYE "Disconnected for inactivity."\r\n'], 'idle'],
  'an answer that was not asked for, which answers no later command': [
    ['S', 'OK "Still here."\r\n'],
    'idle',
    ['C', 'NOOP\r\n'],
    'busy',
    ['S', 'OK\r\n'],
    'idle',
  ],
  'answers in lower case, without a text, and with a code or a text right behind the word': [
    ['C', 'NOOP\r\n'.repeat(5)],
    ['S', 'no\r\nOK"done"\r\nNO(QUOTA)\r\nok\n'],
    'busy',
    ['S', 'BYE\r\n'],
    'idle',
  ],
  'words that only begin like an answer': [
    ['C', 'NOOP\r\n'],
    ['S', 'OKAY\r\nNOT\r\nBYES\r\nXOK\r\n"NO"\r\n BYE\r\nOF\r\n'],
    'busy',
    ['S', 'NO\r\n'],
    'idle',
  ],
  'a line behind a literal that reads like an answer': [
    ['C', 'GETSCRIPT "a"\r\n'],
    ['S', '{3}\r\nabcOK\r\n'],
    'busy',
    ['S', 'OK\r\n'],
    'idle',
  ],
  'half a line of the back end': [['S', '"ma'], 'busy', ['S', 'in"\r\n'], 'idle'],
  'lines that end in a bare LF': [['C', 'NOOP\n'], 'busy', ['S', 'OK\n'], 'idle'],
  'empty lines of the back end': [['C', 'NOOP\r\n'], ['S', '\r\n\n'], 'busy', ['S', 'OK\r\n'], 'idle'],
  'an empty literal': [['C', 'NOOP {0+}\r\n'], 'busy', ['C', '\r\n'], ['S', 'OK (TAG {0}\r\n) "x"\r\n'], 'idle'],
  'the greatest literal that servers count in one way': [['C', 'PUTSCRIPT "a" {2147483647+}\r\nkeep'], 'busy'],
  'braces that announce nothing': [
    [
      'C',
      'A {}\r\nA {+}\r\nA {x}\r\nA {1x}\r\nA {+1}\r\nA {1\r\nA {1+\r\nA {1}x\r\nA {1}}\r\nA {1}+\r\nA {1}2\r\nA {-1}\r\nA {:}\r\nA {/}\r\nA 1}\r\n',
    ],
    ['S', 'NO\r\n'.repeat(14)],
    'busy',
    ['S', 'NO {+}\r\n'],
    'idle',
  ],
  'a literal behind braces that announce nothing': [
    ['C', 'NOOP {9}{}{x {3+}\r\nabc\r\n'],
    'busy',
    ['S', 'OK\r\n'],
    'idle',
  ],
  'data that begins like BYE': [['C', 'X\r\n'], ['S', 'BYEBYE\r\n'], 'busy', ['S', 'OK\r\n'], 'idle'],
}

for (const [name, steps] of Object.entries(FOLLOWED)) {
  testEveryCut(`follows ${name}, and changes nothing`, (cut) => {
    assert.deepEqual(play(cut, steps), { toBackend: said(steps, 'C'), toClient: said(steps, 'S'), ended: undefined })
  })
}

const FORBIDDEN: Record<string, string> = {
  UNAUTHENTICATE: 'UNAUTHENTICATE\r\n',
  'UNAUTHENTICATE in lower case behind spaces': 'NOOP\r\n \tunauthenticate \r\n',
  'UNAUTHENTICATE with an argument': 'UNAUTHENTICATE "x"\r\n',
  'UNAUTHENTICATE in a literal, which a server may read as a command': 'X {18+}\r\nUNAUTHENTICATE\r\n\r\n',
  'UNAUTHENTICATE behind a command, where Cyrus goes on reading': 'CAPABILITY UNAUTHENTICATE\r\n',
  'UNAUTHENTICATE behind a parenthesis': '(UNAUTHENTICATE\r\n',
  'UNAUTHENTICATE behind NUL and CR': 'NOOP\r\0UNAUTHENTICATE\r\n',
  'UNAUTHENTICATE behind letters of which a server has dropped a segment': '!UNAUNAUTHENTICATE\r\n',
  'UNAUTHENTICATE behind a literal': 'NOOP {3+}\r\nabcUNAUTHENTICATE\r\n',
  'UNAUTHENTICATE in the middle of a line of a literal': 'X {28+}\r\nCAPABILITY UNAUTHENTICATE\r\n\r\n',
  'UNAUTHENTICATE where a literal ends': 'X {14+}\r\nUNAUTHENTICATE\r\n',
  STARTTLS: 'STARTTLS\r\n',
  'STARTTLS with a bare LF': 'NOOP\nSTARTTLS\n',
  'STARTTLS with a parenthesis': 'STARTTLS(\r\n',
  'STARTTLS with a string': 'STARTTLS"x"\r\n',
  'STARTTLS behind the line of a literal': 'NOOP {3+}\r\nabc\r\nSTARTTLS\r\n',
  'STARTTLS in lower case behind spaces': 'NOOP\r\n \tstarttls \r\n',
}
for (const [name, text] of Object.entries(FORBIDDEN)) {
  testEveryCut(`ends the session at ${name}`, (cut) => {
    const { ended, toBackend } = play(cut, [['C', text]])
    assert.equal(ended, 'forbidden')
    assert.doesNotMatch(toBackend, /(?:UNAUTHENTICATE|STARTTLS)[^A-Z]/i)
  })
}

testEveryCut('lets words pass that only begin so, and STARTTLS in a script', (cut) => {
  const text =
    'PUTSCRIPT "a" {28+}\r\nunauthenticated\r\nSTARTTLS\r\n\r\n\r\nNOOP "STARTTLS"\r\nSTARTTLSX\r\nNOOP {5+}\r\nabcde\r\n' +
    'X STARTTLS\r\nXSTARTTLS\r\nSTARTSTARTTLS\r\nSTARTTL\r\nSTARTTLS-\r\nSTARTTLS_\r\nSTARTTLS1\r\nSTARTTLSz\r\nSTARTTLS9\r\nSTARTTLSA\r\n' +
    'NOOP {3+}\r\nabcSTARTTLS\r\nNOOP {3+}\r\nabcTARTTLS\r\nSTART TLS\r\nNOOP {0+}\r\nSTARTTLS\r\nUNAUTHENTICATEZ\r\nUNAUTHENTICAT\r\n'
  assert.deepEqual(play(cut, [['C', text]]), { toBackend: text, toClient: '', ended: undefined })
})

testEveryCut('ends the session at TLS of a back end that took a STARTTLS', (cut) => {
  const { ended, toClient } = play(cut, [
    ['C', 'CAPABILITY STARTTLS\r\n'],
    ['S', 'NO "Expected EOL"\r\nOK "Begin TLS negotiation now"\r\n'],
    ['S', '\x16\x03\x03\0\x7a'],
  ])
  assert.deepEqual([ended, toClient], ['backend', 'NO "Expected EOL"\r\nOK "Begin TLS negotiation now"\r\n'])
})

for (const text of [
  ...['X {010+}\r\n', 'X {00}\r\n', 'X {2147483648+}\r\n', 'X {99999999999999}\r\n'],
  // RFC 5804 4 has one plus, behind the digits.
  ...['X {5+5}\r\n', 'X {5++}\r\n', 'X {5+0+}\r\n'],
]) {
  testEveryCut(`ends the session at a literal that servers count in different ways: ${text.trim()}`, (cut) => {
    assert.equal(play(cut, [['C', text]]).ended, 'ambiguous')
  })
}

testEveryCut('replaces a referral by TRYLATER, and drops what follows', (cut) => {
  for (const referral of [
    'BYE (REFERRAL "sieve://other.example.test") "Try there."\r\n',
    'bye (referral {28}\r\nsieve://other.example.test/a) "Try there."\r\n',
  ]) {
    const { toClient } = play(cut, [
      ['C', 'NOOP\r\n'],
      ['S', `OK\r\n${referral}OK\r\n`],
    ])
    assert.equal(toClient, 'OK\r\nBYE (TRYLATER) "Shutting down, please connect again."\r\n')
  }
})

testEveryCut('ends the session at a literal of the back end that clients count in different ways', (cut) => {
  assert.equal(play(cut, [['S', '{010}\r\n']]).ended, 'backend')
})

for (const octet of ['\0', '\t', '\x16', '\x1f'])
  testEveryCut(`ends the session at a response that begins with ${JSON.stringify(octet)}`, (cut) => {
    const { ended, toClient } = play(cut, [['S', `"a"\r\n${octet}OK\r\n`]])
    assert.deepEqual([ended, toClient.startsWith('"a"\r\nO')], ['backend', false])
  })

test('says why it ends a session', () => {
  assert.equal(new ManagesieveWatch().farewell, 'BYE "This command is not available here."\r\n')
  assert.equal(new ManagesieveWatch().mode, 'guard')
})

for (const line of ['BYE(REFERRAL "x") "y"', 'BYE  (  "REFERRAL" "x") "y"', 'BYE (REFERRAL'])
  testEveryCut(`takes ${line} for a referral`, (cut) => {
    const { toClient, ended } = play(cut, [['S', `${line}\r\n`], 'idle', ['S', 'OK\r\nBYE "x"\r\n']])
    assert.equal(ended, undefined)
    assert.equal(toClient, 'BYE (TRYLATER) "Shutting down, please connect again."\r\n')
  })

for (const line of [
  'BYE (TRYLATER) "REFERRAL"',
  'BYE "(REFERRAL"',
  'XBYE (REFERRAL "x")',
  'NO (REFERRAL "x") "BYE"',
  'BYEX (REFERRAL',
  'BX BYE (REFERRAL "x")',
])
  testEveryCut(`passes on a line that is no referral: ${line}`, (cut) => {
    const text = `${line}\r\nOK\r\n`
    assert.equal(play(cut, [['S', text]]).toClient, text)
  })

test('keeps a line that begins like BYE for up to 2,048 octets', () => {
  const watch = new ManagesieveWatch()
  const passed: string[] = []
  const show = (text: string): void => {
    assert.ok(watch.fromBackend(Buffer.from(text), (piece) => passed.push(piece.toString())))
  }
  show(`OK\r\nB${'x'.repeat(2046)}`)
  show('y')
  assert.deepEqual(passed, ['OK\r\n'])
  show('z')
  assert.deepEqual(passed, ['OK\r\n', `B${'x'.repeat(2046)}yz`])
  show('more\r\n"a"')
  assert.deepEqual(passed.slice(2), ['more\r\n"a"'])
})

test('passes what is whole on as it came', () => {
  const watch = new ManagesieveWatch()
  const chunk = Buffer.from('OK\r\n')
  watch.fromBackend(chunk, (piece) => assert.equal(piece, chunk))
  watch.fromBackend(Buffer.from('BYE "x"\r\n'), (piece) => assert.notEqual(piece.length, 0))
})

testEveryCut('passes a long line on that begins like BYE', (cut) => {
  const text = `BYE ${'x'.repeat(5000)}\r\n`
  assert.equal(play(cut, [['S', text]]).toClient, text)
})
