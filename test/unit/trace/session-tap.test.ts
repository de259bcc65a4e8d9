/** What a trace shows of a session after login: commands and status lines. Contents are counted, however their octets are cut. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ImapGuard } from '../../../src/protocol/imap/guard.ts'
import { ImapWatch } from '../../../src/protocol/imap/watch.ts'
import { ManagesieveWatch } from '../../../src/protocol/managesieve/watch.ts'
import { Pop3Watch } from '../../../src/protocol/pop3/watch.ts'
import { protocols } from '../../../src/protocol/protocols.ts'
import type { SessionWatch } from '../../../src/protocol/watch.ts'
import { SessionTap, tapWatch, untapWatch } from '../../../src/trace/session-tap.ts'
import { CUTS, WHOLE, type Cut } from '../../support/splits.ts'

const BODY = 'Subject: top secret\r\n\r\na1 OK the body\r\n+OK the body\r\na2 LOGIN alice hunter2\r\nOK "body"\r\n'

type Said = ['C' | 'S', string]

/** @returns what the trace shows, and what went on to either side */
function follow(watch: SessionWatch, name: keyof typeof protocols, said: readonly Said[], cut: Cut = WHOLE) {
  const lines: string[] = []
  const sink = {
    isActive: true,
    line: (leg: string, octets: string) => void lines.push(`${leg}: ${octets}`),
    note: (text: string) => void lines.push(`note: ${text}`),
  }
  const tap = new SessionTap(protocols[name].openView(), sink)
  const tapped = tapWatch(watch, tap)
  let held = ''
  const give = (from: 'C' | 'S', octets: string): void => {
    const chunk = Buffer.from(octets, 'latin1')
    if (tapped.mode === 'observe') {
      if (from === 'C') tapped.fromClient(chunk)
      else tapped.fromBackend(chunk)
    } else if (from === 'C') {
      const all = held + octets
      const passed = tapped.fromClient(Buffer.from(all, 'latin1'), () => undefined)
      held = typeof passed === 'number' ? all.slice(passed) : ''
    } else {
      tapped.fromBackend(chunk, () => undefined)
      if (held !== '') give('C', '')
    }
  }
  for (const [from, octets] of said) for (const piece of cut.split(octets)) give(from, piece)
  tap.tellCounts()
  assert.equal(untapWatch(tapped), watch)
  return { lines, sink, give }
}

const IMAP: Said[] = [
  ['C', 'a1 SELECT INBOX\r\n'],
  ['S', '* 3 EXISTS\r\na1 OK [READ-WRITE] selected\r\n'],
  ['C', 'a2 UID FETCH 1:* (BODY.PEEK[])\r\n'],
  ['S', `* 1 FETCH (UID 7 BODY[] {${BODY.length}}\r\n${BODY} FLAGS ())\r\na2 OK fetched\r\n`],
  ['C', 'a3 UID SEARCH TEXT hunter2\r\n'],
  ['S', '* SEARCH 7\r\na3 OK found\r\n'],
  ['C', `a4 APPEND INBOX {${BODY.length}}\r\n`],
  ['S', '+ go on\r\n'],
  ['C', `${BODY}\r\n`],
  ['S', 'a4 OK appended\r\n'],
  ['C', 'a5 IDLE\r\n'],
  ['S', '+ idling\r\n* 4 EXISTS\r\n'],
  ['C', 'DONE\r\n'],
  ['S', 'a5 OK idle\r\n'],
  ['C', 'a6 XPASS hunter2\r\n'],
  ['S', 'a6 BAD no\r\n'],
]

const IMAP_SHOWN = [
  'from-client: a1 SELECT INBOX',
  'from-backend: [12 octets]',
  'from-backend: a1 OK [READ-WRITE] selected',
  'from-client: a2 UID FETCH 1:* (BODY.PEEK[])',
  `from-backend: [${`* 1 FETCH (UID 7 BODY[] {${BODY.length}}\r\n${BODY} FLAGS ())\r\n`.length} octets]`,
  'from-backend: a2 OK fetched',
  'from-client: a3 UID SEARCH [hidden]',
  'from-backend: [12 octets]',
  'from-backend: a3 OK found',
  'from-client: a4 APPEND [hidden]',
  `from-client: [${BODY.length + 2} octets]`,
  'from-backend: [9 octets]',
  'from-backend: a4 OK appended',
  'from-client: a5 IDLE',
  'from-backend: [22 octets]',
  'from-client: DONE',
  'from-backend: a5 OK idle',
  'from-client: [18 octets]',
  'from-backend: [hidden] BAD no',
]

const POP3: Said[] = [
  ['C', 'STAT\r\n'],
  ['S', '+OK 1 120\r\n'],
  ['C', 'RETR 1\r\nDELE 1\r\n'],
  ['S', `+OK 120 octets\r\n${BODY}.\r\n+OK deleted\r\n`],
  ['C', 'LIST\r\n'],
  ['S', '+OK\r\n1 120\r\n.\r\n'],
  ['C', 'hunter2 1\r\n'],
  ['S', '-ERR unknown\r\n'],
  ['C', 'QUIT\r\n'],
  ['S', '+OK bye\r\n'],
]

const POP3_SHOWN = [
  'from-client: STAT',
  'from-backend: +OK 1 120',
  'from-client: RETR 1',
  'from-client: DELE 1',
  'from-backend: +OK 120 octets',
  `from-backend: [${BODY.length + 3} octets]`,
  'from-backend: +OK deleted',
  'from-client: LIST',
  'from-backend: +OK',
  'from-client: [11 octets]',
  'from-backend: [10 octets]',
  'from-backend: -ERR unknown',
  'from-client: QUIT',
  'from-backend: +OK bye',
]

const SIEVE = 'require "fileinto";\r\nOK "hunter2"\r\n'

const MANAGESIEVE: Said[] = [
  ['C', `PUTSCRIPT "main" {${SIEVE.length}+}\r\n${SIEVE}\r\n`],
  ['S', 'OK "stored"\r\n'],
  ['C', 'SETACTIVE "main"\r\n'],
  ['S', 'OK\r\n'],
  ['C', 'GETSCRIPT "main"\r\n'],
  ['S', `{${SIEVE.length}}\r\n${SIEVE}\r\nOK\r\n`],
  ['C', 'PUTSCRIPT "x" "keep; # hunter2"\r\n'],
  ['S', 'NO {7}\r\nhunter2\r\n'],
  ['C', 'LOGOUT\r\n'],
  ['S', 'OK "bye"\r\n'],
]

const MANAGESIEVE_SHOWN = [
  'from-client: PUTSCRIPT "main" [hidden]',
  `from-client: [${SIEVE.length + 2} octets]`,
  'from-backend: OK "stored"',
  'from-client: SETACTIVE "main"',
  'from-backend: OK',
  'from-client: GETSCRIPT "main"',
  `from-backend: [${`{${SIEVE.length}}\r\n${SIEVE}\r\n`.length} octets]`,
  'from-backend: OK',
  'from-client: PUTSCRIPT "x" [hidden]',
  'from-backend: NO [hidden]',
  'from-backend: [9 octets]',
  'from-client: LOGOUT',
  'from-backend: OK "bye"',
]

describe('shows commands and status lines, and counts the rest', () => {
  for (const cut of CUTS) {
    test(`of IMAP, ${cut.name}`, () => {
      assert.deepEqual(follow(new ImapWatch(), 'imap', IMAP, cut).lines, IMAP_SHOWN)
    })
    test(`of IMAP in a guarded session, ${cut.name}`, () => {
      assert.deepEqual(follow(new ImapGuard(), 'imap', IMAP, cut).lines, IMAP_SHOWN)
    })
    test(`of POP3, ${cut.name}`, () => {
      assert.deepEqual(follow(new Pop3Watch(), 'pop3', POP3, cut).lines, POP3_SHOWN)
    })
    test(`of ManageSieve, ${cut.name}`, () => {
      assert.deepEqual(follow(new ManagesieveWatch(), 'managesieve', MANAGESIEVE, cut).lines, MANAGESIEVE_SHOWN)
    })
  }
})

test('begins between two commands of a session that runs already', () => {
  const watch = new ImapWatch()
  watch.fromClient(Buffer.from('a1 FETCH 1 BODY[]\r\n'))
  watch.fromBackend(Buffer.from(`* 1 FETCH (BODY[] {${BODY.length}}\r\n${BODY.slice(0, 20)}`))
  const { lines } = follow(watch, 'imap', [
    ['S', `${BODY.slice(20)})\r\na1 OK fetched\r\n`],
    ['C', 'a2 NOOP\r\n'],
    ['S', 'a2 OK done\r\n'],
  ])
  assert.deepEqual(lines, ['from-client: a2 NOOP', 'from-backend: a2 OK done'])
})

test('takes the command behind a literal that the back end has refused for a command', () => {
  const { lines } = follow(new ImapWatch(), 'imap', [
    ['C', 'a1 APPEND INBOX {9999}\r\n'],
    ['S', 'a1 NO [TOOBIG] too large\r\n'],
    ['C', 'a2 NOOP\r\n'],
  ])
  assert.deepEqual(lines, [
    'from-client: a1 APPEND [hidden]',
    'from-backend: a1 NO [TOOBIG] too large',
    'from-client: a2 NOOP',
  ])
})

test('shows nothing of a literal that comes unasked (RFC 7888), although the command before it is refused', () => {
  const message = 'I LIST what nobody may read\r\n'
  const { lines } = follow(new ImapWatch(), 'imap', [
    ['C', `a1 SELECT Gone\r\na2 APPEND INBOX {${message.length}+}\r\n`],
    ['S', 'a1 NO no such mailbox\r\n'],
    ['C', `${message}\r\n`],
    ['S', 'a2 OK appended\r\n'],
  ])
  assert.deepEqual(lines, [
    'from-client: a1 SELECT Gone',
    'from-client: a2 APPEND [hidden]',
    'from-backend: a1 NO no such mailbox',
    `from-client: [${message.length + 2} octets]`,
    'from-backend: a2 OK appended',
  ])
})

test('shows nothing of a session that is compressed', () => {
  const { lines } = follow(new ImapWatch(), 'imap', [
    ['C', 'a1 COMPRESS DEFLATE\r\n'],
    ['S', 'a1 OK compressed\r\n'],
  ])
  assert.deepEqual(lines.slice(-1), ['note: the session cannot be read from here on, as it is compressed or ambiguous'])
})
