/**
 * What clients read when a login is refused or a connection ends, octet by octet. Clients act on the response codes (RFC 5530, RFC 2449,
 * RFC 3206, RFC 5804 1.3), so each is a promise.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as imapReplies from '../../../src/protocol/imap/replies.ts'
import * as managesieveReplies from '../../../src/protocol/managesieve/replies.ts'
import * as pop3Replies from '../../../src/protocol/pop3/replies.ts'
import { protocols } from '../../../src/protocol/protocols.ts'
import type { Goodbye, Refusal, UnaskedGoodbye } from '../../../src/protocol/protocol.ts'
import type { ProtocolName } from '../../../src/protocol/registry.ts'

type Texts = Record<ProtocolName, string>

const REPLIES = { imap: imapReplies, pop3: pop3Replies, managesieve: managesieveReplies }
const NAMES = Object.keys(REPLIES) as ProtocolName[]

const REFUSALS: Record<Exclude<Refusal['reason'], 'passed-on'>, Texts> = {
  'authentication-failed': {
    imap: 'NO [AUTHENTICATIONFAILED] Authentication failed.',
    pop3: '-ERR [AUTH] Authentication failed.',
    managesieve: 'NO "Authentication failed."',
  },
  'authorization-failed': {
    imap: 'NO [AUTHORIZATIONFAILED] Not allowed to log in as that user.',
    pop3: '-ERR [AUTH] Not allowed to log in as that user.',
    managesieve: 'NO "Not allowed to log in as that user."',
  },
  disabled: {
    imap: 'NO [CONTACTADMIN] This account is disabled.',
    pop3: '-ERR [AUTH] This account is disabled.',
    managesieve: 'NO "This account is disabled."',
  },
  unavailable: {
    imap: 'NO [UNAVAILABLE] Account is temporarily unavailable.',
    pop3: '-ERR [SYS/TEMP] Account is temporarily unavailable.',
    managesieve: 'NO (TRYLATER) "Account is temporarily unavailable."',
  },
  misconfigured: {
    imap: 'NO [SERVERBUG] Account is temporarily unavailable.',
    pop3: '-ERR [SYS/PERM] Account is unavailable.',
    managesieve: 'NO (TRYLATER/NORETRY) "Account is unavailable."',
  },
  'privacy-required': {
    imap: 'NO [PRIVACYREQUIRED] Passwords are accepted over TLS only.',
    pop3: '-ERR [AUTH] Passwords are accepted over TLS only.',
    managesieve: 'NO (ENCRYPT-NEEDED) "Passwords are accepted over TLS only."',
  },
  cancelled: {
    imap: 'BAD Authentication cancelled.',
    pop3: '-ERR Authentication cancelled.',
    managesieve: 'NO "Authentication cancelled."',
  },
  'too-many-sessions': {
    imap: 'NO [LIMIT] Too many sessions.',
    pop3: '-ERR [IN-USE] Too many sessions.',
    managesieve: 'NO (LIMIT/CONNECTIONS) "Too many sessions."',
  },
  'too-many-logins': {
    imap: 'NO [LIMIT] Too many logins, please try again later.',
    pop3: '-ERR [LOGIN-DELAY] Too many logins, please try again later.',
    managesieve: 'NO (TRYLATER) "Too many logins, please try again later."',
  },
}

/** The code in IMAP, POP3 and ManageSieve where there is one, and the text, which is the same in all. */
const GOODBYES: Record<Goodbye, { codes: [imap: string, pop3: string, managesieve: string]; text: string }> = {
  'login-timeout': { codes: ['', '', ''], text: 'Too long without a login.' },
  'too-many-connections': {
    codes: ['UNAVAILABLE', 'SYS/TEMP', 'TRYLATER'],
    text: 'Too many connections, please try again later.',
  },
  'not-allowed': {
    codes: ['CONTACTADMIN', 'SYS/PERM', ''],
    text: 'Connections from this address are not accepted.',
  },
  'over-limit': {
    codes: ['LIMIT', 'SYS/TEMP', 'TRYLATER'],
    text: 'Too many connections from this address, please try again later.',
  },
  'line-too-long': { codes: ['', '', ''], text: 'Line or literal too long.' },
  'too-many-bad-commands': { codes: ['', '', ''], text: 'Too many invalid commands.' },
  refused: { codes: ['', '', ''], text: 'No more login attempts on this connection.' },
  'shutting-down': {
    codes: ['UNAVAILABLE', 'SYS/TEMP', 'TRYLATER'],
    text: 'Shutting down, please connect again.',
  },
  paused: {
    codes: ['UNAVAILABLE', 'SYS/TEMP', 'TRYLATER'],
    text: 'Your mail store is being restarted, please connect again.',
  },
  'on-hold': {
    codes: ['UNAVAILABLE', 'SYS/TEMP', 'TRYLATER'],
    text: 'Your mailbox is being moved, please connect again.',
  },
  idle: { codes: ['', '', ''], text: 'Idle for too long.' },
  moved: { codes: ['UNAVAILABLE', 'SYS/TEMP', 'TRYLATER'], text: 'The mailbox has moved, please connect again.' },
  rebalanced: {
    codes: ['UNAVAILABLE', 'SYS/TEMP', 'TRYLATER'],
    text: 'Sessions are being spread, please connect again.',
  },
  drained: { codes: ['UNAVAILABLE', 'SYS/TEMP', 'TRYLATER'], text: 'Maintenance, please connect again.' },
  kicked: {
    codes: ['UNAVAILABLE', 'SYS/TEMP', 'TRYLATER'],
    text: 'The session was ended by an administrator.',
  },
  disabled: { codes: ['UNAVAILABLE', 'SYS/TEMP', 'TRYLATER'], text: 'This account is not available.' },
  internal: { codes: ['SERVERBUG', 'SYS/TEMP', 'TRYLATER'], text: 'Internal error.' },
}

function textsOf(why: Goodbye): Texts {
  const {
    codes: [imap, pop3, managesieve],
    text,
  } = GOODBYES[why]
  const bracketed = (code: string): string => (code === '' ? '' : `[${code}] `)
  return {
    imap: `* BYE ${bracketed(imap)}${text}`,
    // POP3 has no literals.
    pop3: `-ERR ${bracketed(pop3)}${text.replace(' or literal', '')}`,
    managesieve: `BYE ${managesieve === '' ? '' : `(${managesieve}) `}"${text}"`,
  }
}

for (const name of NAMES) {
  for (const [reason, texts] of Object.entries(REFUSALS))
    test(`${name} replies to a refused login: ${reason}`, () => {
      assert.equal(REPLIES[name].refusalReply({ reason } as Refusal), texts[name])
    })

  for (const why of Object.keys(GOODBYES) as Goodbye[])
    test(`${name} states the reason for the end of a connection: ${why}`, () => {
      assert.equal(REPLIES[name].goodbyeReply(why), textsOf(why)[name])
    })

  test(`${name} turns a client away with the same line`, () => {
    for (const why of ['too-many-connections', 'not-allowed', 'over-limit'] as const)
      assert.equal(protocols[name].turnedAway(why), `${textsOf(why)[name]}\r\n`)
  })

  test(`${name} has a line for a session that ends at a safe point where a server may send one unasked`, () => {
    const line = (why: Goodbye): string => (name === 'pop3' ? '' : `${textsOf(why)[name]}\r\n`)
    const lines: UnaskedGoodbye = {
      shutdown: line('shutting-down'),
      idle: line('idle'),
      moved: line('moved'),
      rebalanced: line('rebalanced'),
      drained: line('drained'),
      kicked: line('kicked'),
      disabled: line('disabled'),
    }
    assert.deepEqual(protocols[name].unaskedGoodbye, lines)
  })
}

test('each passes on the code and the words of the back end', () => {
  const refusal: Refusal = { reason: 'passed-on', code: 'LIMIT', text: 'Say "please".' }
  assert.equal(imapReplies.refusalReply(refusal), 'NO [LIMIT] Say "please".')
  assert.equal(pop3Replies.refusalReply(refusal), '-ERR [LIMIT] Say "please".')
  assert.equal(managesieveReplies.refusalReply(refusal), 'NO (LIMIT) "Say \\"please\\"."')
})

test('each takes its leave of a back end with a whole line', () => {
  assert.deepEqual(
    NAMES.map((name) => [protocols[name].name, protocols[name].leave]),
    [
      ['imap', 'L LOGOUT\r\n'],
      ['pop3', 'QUIT\r\n'],
      ['managesieve', 'LOGOUT\r\n'],
    ],
  )
})
