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
  'from-client: [hidden]',
  'from-backend: [hidden] BAD [hidden]',
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
  'from-backend: [10 octets]',
  'from-client: [hidden]',
  'from-backend: -ERR [hidden]',
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
    'from-backend: a1 NO [TOOBIG] [hidden]',
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

const PASSWORD = 'hunter2'
const BASE64 = Buffer.from(`\0alice\0${PASSWORD}`).toString('base64')

describe('hides a credential after login, its length, and the answers that may repeat it', () => {
  const cases: [name: keyof typeof protocols, title: string, said: Said[], shown: string[]][] = [
    [
      'imap',
      'LOGIN',
      [
        ['C', `a1 LOGIN alice ${PASSWORD}\r\n`],
        ['S', `* BAD what is LOGIN alice ${PASSWORD}\r\na1 BAD [X ${PASSWORD}] LOGIN alice ${PASSWORD}\r\n`],
        ['C', 'a1 NOOP\r\na2 NOOP\r\n'],
        ['S', `a1 OK ${PASSWORD}\r\na2 OK done\r\n`],
      ],
      [
        'from-client: a1 LOGIN [hidden]',
        'from-backend: * BAD [hidden]',
        'from-backend: [hidden] BAD [hidden]',
        'from-client: a1 NOOP',
        'from-client: a2 NOOP',
        'from-backend: [hidden] OK [hidden]',
        'from-backend: a2 OK done',
      ],
    ],
    [
      'imap',
      'LOGIN with literals',
      [
        ['C', 'a1 LOGIN {5}\r\n'],
        ['S', '+ go on\r\n'],
        ['C', `alice {${PASSWORD.length}+}\r\n${PASSWORD}\r\n`],
        ['S', `a1 NO ${PASSWORD}\r\n`],
      ],
      [
        'from-client: a1 LOGIN [hidden]',
        'from-backend: [9 octets]',
        'from-client: [hidden]',
        'from-client: [hidden]',
        'from-backend: [hidden] NO [hidden]',
      ],
    ],
    ...['PLAIN', 'LOGIN', 'XOAUTH2', 'SCRAM-SHA-256', 'X-OWN'].map(
      (mechanism): [keyof typeof protocols, string, Said[], string[]] => [
        'imap',
        `AUTHENTICATE ${mechanism}`,
        [
          ['C', `a1 AUTHENTICATE ${mechanism}\r\n`],
          ['S', '+ \r\n'],
          ['C', `${BASE64}\r\n`],
          ['S', '+ \r\n'],
          ['C', `a1 LIST ${PASSWORD}\r\n`],
          ['S', `a1 NO ${BASE64} ${PASSWORD}\r\n`],
          ['C', 'a2 NOOP\r\n'],
          ['S', 'a2 OK done\r\n'],
        ],
        [
          'from-client: a1 AUTHENTICATE [hidden]',
          'from-backend: [4 octets]',
          'from-client: [hidden]',
          'from-backend: [4 octets]',
          'from-client: [hidden]',
          'from-backend: [hidden] NO [hidden]',
          'from-client: a2 NOOP',
          'from-backend: a2 OK done',
        ],
      ],
    ),
    [
      'imap',
      'a password in an argument of a command without one',
      [
        ['C', `a1 NOOP ${PASSWORD}\r\n`],
        ['S', `a1 BAD NOOP ${PASSWORD}\r\n`],
      ],
      ['from-client: a1 NOOP [hidden]', 'from-backend: a1 BAD [hidden]'],
    ],
    [
      'pop3',
      'USER, PASS, APOP, AUTH and an unknown command',
      [
        ['C', `USER alice\r\nPASS ${PASSWORD}\r\nAPOP alice ${PASSWORD}\r\nXPASS ${PASSWORD}\r\n`],
        ['S', `-ERR alice\r\n-ERR PASS ${PASSWORD}\r\n-ERR ${PASSWORD}\r\n-ERR XPASS ${PASSWORD}\r\n`],
        ['C', `AUTH PLAIN\r\n`],
        ['S', '+ \r\n'],
        ['C', `${BASE64}\r\n`],
        ['S', `-ERR ${BASE64}\r\n`],
        ['C', 'STAT\r\n'],
        ['S', '+OK 1 120\r\n'],
      ],
      [
        'from-client: USER [hidden]',
        'from-client: PASS [hidden]',
        'from-client: APOP [hidden]',
        'from-client: [hidden]',
        ...Array.from({ length: 4 }, () => 'from-backend: -ERR [hidden]'),
        'from-client: AUTH [hidden]',
        'from-backend: [4 octets]',
        'from-client: [hidden]',
        'from-backend: -ERR [hidden]',
        'from-client: STAT',
        'from-backend: +OK 1 120',
      ],
    ],
    [
      'pop3',
      'more commands than can be told apart',
      [
        ['C', `${'NOOP\r\n'.repeat(1000)}PASS ${PASSWORD}\r\n`],
        ['S', '+OK\r\n'],
        ['C', 'STAT\r\n'],
        ['S', `${'+OK\r\n'.repeat(999)}-ERR ${PASSWORD}\r\n+OK 1 120\r\n`],
      ],
      [
        ...Array.from({ length: 1000 }, () => 'from-client: NOOP'),
        'from-client: PASS [hidden]',
        'from-backend: +OK [hidden]',
        'from-client: STAT',
        ...Array.from({ length: 999 }, () => 'from-backend: +OK [hidden]'),
        'from-backend: -ERR [hidden]',
        'from-backend: [11 octets]',
      ],
    ],
    [
      'managesieve',
      'AUTHENTICATE and an unknown command',
      [
        ['C', `AUTHENTICATE "PLAIN" "${BASE64}"\r\n`],
        ['S', `NO "AUTHENTICATE ${BASE64}"\r\n`],
        ['C', `AUTHENTICATE "PLAIN" {${BASE64.length}+}\r\n${BASE64}\r\n`],
        ['S', `NO (X "${PASSWORD}") "${BASE64}"\r\n`],
        ['C', 'AUTHENTICATE "LOGIN"\r\n'],
        ['S', '"VXNlciBuYW1l"\r\n'],
        ['C', `"${BASE64}"\r\n`],
        ['S', `NO "${BASE64}"\r\n`],
        ['C', `LOGIN "alice" "${PASSWORD}"\r\n`],
        ['S', `NO "LOGIN ${PASSWORD}"\r\n`],
        ['C', 'SETACTIVE "main"\r\n'],
        ['S', `NO "no main"\r\nBYE "${PASSWORD}"\r\n`],
      ],
      [
        'from-client: AUTHENTICATE [hidden]',
        'from-backend: NO [hidden]',
        'from-client: AUTHENTICATE [hidden]',
        'from-client: [hidden]',
        'from-backend: NO [hidden]',
        'from-client: AUTHENTICATE [hidden]',
        'from-backend: [16 octets]',
        'from-client: [hidden]',
        'from-backend: NO [hidden]',
        'from-client: [hidden]',
        'from-backend: NO [hidden]',
        'from-client: SETACTIVE "main"',
        'from-backend: NO "no main"',
        'from-backend: BYE [hidden]',
      ],
    ],
  ]
  for (const [name, title, said, shown] of cases)
    for (const cut of CUTS)
      test(`${name}: ${title}, ${cut.name}`, () => {
        const lines: string[] = []
        const line = (leg: string, octets: string): void => void lines.push(`${leg}: ${octets}`)
        const tap = new SessionTap(protocols[name].openView(), { isActive: true, line, note: assert.fail })
        tap.follows({ isIdle: () => true })
        for (const [from, octets] of said)
          for (const piece of cut.split(octets))
            tap[from === 'C' ? 'fromClient' : 'fromBackend'](Buffer.from(piece, 'latin1'))
        tap.tellCounts()
        assert.deepEqual(lines, shown)
        assert.doesNotMatch(lines.join('\n'), new RegExp(`${PASSWORD}|${BASE64}`))
      })
})
