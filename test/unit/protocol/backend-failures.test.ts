/**
 * What the log says of a back end that a login cannot go to, word for word: an operator finds the cause by it. Also, what mailmux has
 * written until then: no more than the dialogue has come to.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MuxError, type ErrorCode } from '../../../src/errors.ts'
import { asOctets } from '../../../src/octets.ts'
import type { ProtocolName } from '../../../src/protocol/registry.ts'
import { byPassword, identity, READY, replay, type Told } from '../../support/replay-lines.ts'

type Failure = Told & { hears?: readonly string[]; code: ErrorCode; message: string }

const PLAIN = Buffer.from('\0alice\0secret').toString('base64')
const [IMAP = ''] = READY.imap
const { pop3: POP3, managesieve: SIEVE } = READY
const UNANSWERED_LINE = 'x'.repeat(100)
const startTls = { startTls: true }
const other = { user: asOctets('bob') }

const FAILURES: Record<ProtocolName, readonly Failure[]> = {
  imap: [
    { says: ['* BYE full'], code: 'backend-bye', message: 'the back end greeted with BYE: full', hears: [] },
    { says: ['A OK hi'], code: 'backend-garbage', message: 'not an IMAP greeting: "A OK hi"', hears: [] },
    {
      says: [UNANSWERED_LINE],
      code: 'backend-garbage',
      message: `not an IMAP greeting: "${'x'.repeat(80)}"`,
    },
    {
      says: ['* OK [CAPABILITY IMAP4] x'],
      code: 'backend-garbage',
      message: 'the back end does not announce IMAP4rev1',
    },
    {
      says: ['* OK x', 'C NO x'],
      code: 'backend-garbage',
      message: 'the back end does not answer CAPABILITY',
      hears: ['C CAPABILITY\r\n'],
    },
    {
      says: ['* OK x', '* CAPABILITY IMAP4rev1', 'C NO x'],
      code: 'backend-garbage',
      message: 'the back end does not answer CAPABILITY',
    },
    { says: ['* OK x', 'C OK x'], code: 'backend-garbage', message: 'the back end does not answer CAPABILITY' },
    {
      login: startTls,
      says: ['* OK [CAPABILITY IMAP4rev1] x'],
      code: 'backend-no-starttls',
      message: 'the back end does not offer STARTTLS',
      hears: [],
    },
    {
      login: startTls,
      says: ['* OK [CAPABILITY IMAP4] x'],
      code: 'backend-no-starttls',
      message: 'the back end does not offer STARTTLS',
    },
    {
      login: startTls,
      says: [IMAP, 'S BAD not now'],
      code: 'backend-no-starttls',
      message: 'the back end refused STARTTLS: not now',
      hears: ['S STARTTLS\r\n'],
    },
    {
      says: ['* OK [CAPABILITY IMAP4rev1 LOGINDISABLED] x'],
      code: 'backend-no-mechanism',
      message: 'the back end offers neither AUTH=PLAIN nor LOGIN',
      hears: [],
    },
    {
      login: other,
      says: ['* OK [CAPABILITY IMAP4rev1] x'],
      code: 'backend-no-mechanism',
      message: 'the back end lacks AUTH=PLAIN, and LOGIN cannot carry an authzid',
      hears: [],
    },
    {
      says: [IMAP, '+ more'],
      code: 'backend-garbage',
      message: 'the back end asks for more than it was to be given',
      hears: [`A AUTHENTICATE PLAIN ${PLAIN}\r\n`],
    },
    {
      says: ['* OK x', '+ go'],
      code: 'backend-garbage',
      message: 'the back end asks for a continuation that it was not offered',
    },
    { says: [IMAP, '* BYE gone'], code: 'backend-bye', message: 'the back end said BYE: gone' },
    {
      says: [IMAP, `B ${UNANSWERED_LINE}`],
      code: 'backend-garbage',
      message: `not an IMAP response: "B ${'x'.repeat(78)}"`,
    },
    {
      says: [IMAP, '* 1 FETCH (X {9000}'],
      code: 'backend-garbage',
      message: 'a literal of 9000 bytes before an answer',
    },
    {
      says: [IMAP, ...Array<string>(33).fill('* 1 EXISTS')],
      code: 'backend-garbage',
      message: 'more than 32 untagged responses before an answer',
    },
    {
      says: ['* OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] x', 'A OK in'],
      code: 'backend-garbage',
      message: 'the back end accepts a login unseen',
      hears: ['A AUTHENTICATE PLAIN\r\n'],
    },
    {
      login: { credentials: byPassword('\xe4') },
      says: ['* OK [CAPABILITY IMAP4rev1] x', 'A OK in'],
      code: 'backend-garbage',
      message: 'the back end accepts a login unseen',
      hears: ['A LOGIN "alice" {1}\r\n'],
    },
    {
      says: [IMAP, 'A NO [UNAVAILABLE] away'],
      code: 'backend-unavailable',
      message: 'the back end said NO [UNAVAILABLE] away',
    },
    {
      says: [IMAP, 'A NO [TEMPFAIL] away'],
      code: 'backend-unavailable',
      message: 'the back end said NO [TEMPFAIL] away',
    },
  ],
  pop3: [
    { says: ['-ERR full'], code: 'backend-bye', message: 'the back end greeted with -ERR full', hears: [] },
    { says: [UNANSWERED_LINE], code: 'backend-garbage', message: `not a POP3 response: "${'x'.repeat(80)}"` },
    {
      login: startTls,
      says: ['+OK x', '+OK', '.'],
      code: 'backend-no-starttls',
      message: 'the back end does not offer STLS',
      hears: ['CAPA\r\n'],
    },
    {
      login: startTls,
      says: [...POP3, '-ERR not now'],
      code: 'backend-no-starttls',
      message: 'the back end refused STLS: not now',
      hears: ['CAPA\r\n', 'STLS\r\n'],
    },
    {
      login: { proxyHeader: true },
      says: ['+OK x', '-ERR'],
      code: 'backend-garbage',
      message: 'the back end refuses CAPA',
    },
    {
      says: ['+OK x', '+OK', ...Array<string>(65).fill('X')],
      code: 'backend-garbage',
      message: 'the capability list does not end',
    },
    {
      login: { identity },
      says: ['+OK [XCLIENT] x', ...POP3.slice(1), '-ERR no'],
      code: 'backend-no-mechanism',
      message: 'the back end refused XCLIENT: no',
    },
    {
      login: { preamble: ['UTF8'] },
      says: [...POP3, '-ERR no'],
      code: 'backend-no-mechanism',
      message: 'the back end refused UTF8: no',
      hears: ['CAPA\r\n', 'UTF8\r\n'],
    },
    {
      says: ['+OK x', '+OK', 'X-PROXY-TTL', '.', '-ERR no'],
      code: 'backend-no-mechanism',
      message: 'the back end refused X-PROXY-TTL: no',
      hears: ['CAPA\r\n', 'X-PROXY-TTL 3\r\n'],
    },
    {
      login: other,
      says: ['+OK x', '-ERR'],
      code: 'backend-no-mechanism',
      message: 'the back end lacks SASL PLAIN, and USER cannot carry an authzid',
      hears: ['CAPA\r\n'],
    },
    {
      says: [...POP3, '+ more'],
      code: 'backend-garbage',
      message: 'the back end asks for more than it was to be given',
      hears: ['CAPA\r\n', `AUTH PLAIN ${PLAIN}\r\n`],
    },
    {
      says: [...POP3, UNANSWERED_LINE],
      code: 'backend-garbage',
      message: `not an answer to AUTH: "${'x'.repeat(80)}"`,
    },
    {
      login: { credentials: byPassword('x'.repeat(300)) },
      says: [...POP3, '+OK in'],
      code: 'backend-garbage',
      message: 'not an answer to AUTH: "+OK in"',
      hears: ['CAPA\r\n', 'AUTH PLAIN\r\n'],
    },
    {
      says: [...POP3, '-ERR [SYS/TEMP] away'],
      code: 'backend-unavailable',
      message: 'the back end said -ERR [SYS/TEMP] away',
    },
  ],
  managesieve: [
    { says: ['BYE "full"'], code: 'backend-bye', message: 'the back end greeted with BYE full', hears: [] },
    { says: ['NO "full"'], code: 'backend-bye', message: 'the back end greeted with NO full' },
    { says: ['OK'], code: 'backend-garbage', message: 'the back end announces no capabilities' },
    { says: [UNANSWERED_LINE], code: 'backend-garbage', message: `not a ManageSieve response: "${'x'.repeat(80)}"` },
    {
      says: Array<string>(65).fill('"X"'),
      code: 'backend-garbage',
      message: 'the capability list does not end',
    },
    { says: ['"X" {70000}'], code: 'backend-garbage', message: 'a literal of 70000 bytes before login' },
    {
      login: startTls,
      says: ['"X"', 'OK'],
      code: 'backend-no-starttls',
      message: 'the back end does not offer STARTTLS',
      hears: [],
    },
    {
      login: startTls,
      says: [...SIEVE, 'NO "not now"'],
      code: 'backend-no-starttls',
      message: 'the back end refused STARTTLS: not now',
      hears: ['STARTTLS\r\n'],
    },
    { login: startTls, says: [...SIEVE, '"X"'], code: 'backend-garbage', message: 'data in place of OK, NO or BYE' },
    {
      login: { identity },
      says: ['"XCLIENT"', 'OK', 'NO "no"'],
      code: 'backend-no-mechanism',
      message: 'the back end refused XCLIENT: no',
    },
    {
      says: ['"X-PROXY-TTL"', 'OK', 'NO "no"'],
      code: 'backend-no-mechanism',
      message: 'the back end refused X-PROXY-TTL: no',
      hears: ['X-PROXY-TTL 3\r\n'],
    },
    {
      says: ['"SASL" "LOGIN"', 'OK'],
      code: 'backend-no-mechanism',
      message: 'the back end does not offer SASL PLAIN',
      hears: [],
    },
    {
      says: [...SIEVE, '"more"'],
      code: 'backend-garbage',
      message: 'the back end asks for more than it was to be given',
      hears: [`AUTHENTICATE "PLAIN" "${PLAIN}"\r\n`],
    },
    {
      says: [...SIEVE, '"more" "and more"'],
      code: 'backend-garbage',
      message: 'a challenge of more than one string',
    },
    {
      says: [...SIEVE, 'NO (TRYLATER) "away"'],
      code: 'backend-unavailable',
      message: 'the back end said NO (TRYLATER) away',
    },
    {
      says: [...SIEVE, 'NO "Temporary authentication failure."'],
      code: 'backend-unavailable',
      message: 'the back end said NO Temporary authentication failure.',
    },
    { says: [...SIEVE, 'BYE "gone"'], code: 'backend-bye', message: 'the back end said BYE gone' },
    {
      says: [...SIEVE, 'NO (TRYLATER/QUOTA) "away"'],
      code: 'backend-unavailable',
      message: 'the back end said NO (TRYLATER/QUOTA) away',
    },
  ],
}

for (const [name, failures] of Object.entries(FAILURES) as [ProtocolName, readonly Failure[]][])
  for (const failure of failures)
    test(`${name}: ${failure.code}: ${failure.message}`, async () => {
      const { answer, wire } = await replay(name, failure)
      assert.deepEqual(answer, new MuxError(failure.code, failure.message))
      if (failure.hears) assert.deepEqual(wire.written, failure.hears)
    })
