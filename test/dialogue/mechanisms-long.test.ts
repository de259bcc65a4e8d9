/** How long what proves a client may be: tokens with many claims pass, a flood does not, and nothing else gets their room. */
import { test } from 'node:test'
import { MECHANISMS } from '../../src/config/settings.ts'
import { imap } from '../../src/protocol/imap/imap.ts'
import { pop3 } from '../../src/protocol/pop3/pop3.ts'
import { WHOLE, type Cut } from '../support/splits.ts'
import {
  base64,
  inWordsOf,
  playBackend,
  playClient,
  testBackend,
  testClient,
  type BackendCase,
  type ClientCase,
} from './play.ts'

/** 64 KiB octet by octet take seconds and show no more than octet by octet where something can change: at both ends. */
const CUTS: readonly Cut[] = [
  WHOLE,
  { name: 'in packets', split: (octets) => octets.match(/[^]{1,1460}/g) ?? [] },
  {
    name: 'octet by octet at both ends',
    split: (octets) => [
      ...Array.from(octets.slice(0, 150)),
      ...(octets.slice(150, -40).match(/[^]{1,9999}/g) ?? []),
      ...Array.from(octets.slice(150).slice(-40)),
    ],
  },
]

function testLong(name: string, wanted: ClientCase): void {
  for (const protocol of [imap, pop3])
    for (const cut of CUTS)
      test(`${protocol.name} ${name}, ${cut.name}`, () =>
        playClient(cut, protocol, { ...wanted, script: inWordsOf(protocol.name, wanted.script) }))
}

function testLongBackend(name: string, wanted: BackendCase): void {
  for (const cut of CUTS) test(`${name}, ${cut.name}`, () => playBackend(cut, imap, wanted))
}

const facts = { mechanisms: MECHANISMS }

/** 45 KiB of octets are 60 KiB of base64. */
const TOKEN = `user=alice\x01auth=Bearer ${'t'.repeat(45 * 1024 - 26)}\x01\x01`
const attempts = [{ user: 'alice', mechanism: 'XOAUTH2', firstMessage: TOKEN, responses: [] }] as const
const LIMIT = 64 * 1024

testLong('takes a token of 60 KiB on the line of the command', {
  facts,
  script: `
    C: %AUTH XOAUTH2 ${base64(TOKEN)}
    S: %WRONG`,
  attempts: attempts.map((attempt) => ({ ...attempt, responses: [] })),
})

testLong('takes a token of 60 KiB on a line of its own', {
  facts,
  script: `
    C: %AUTH XOAUTH2
    S: +\x20
    C: ${base64(TOKEN)}
    S: %WRONG`,
  attempts: attempts.map((attempt) => ({ ...attempt, responses: [] })),
})

testLong('ends at a line of 64 KiB and one octet in answer to a challenge', {
  facts,
  script: `
    C: %AUTH XOAUTH2
    S: +\x20
    C: ${'A'.repeat(LIMIT + 1)}`,
  ending: 'client-line-too-long',
})

testLong('ends at a command of 64 KiB and one octet', {
  facts,
  script: `C: %AUTH XOAUTH2 ${'A'.repeat(LIMIT)}`,
  ending: 'client-line-too-long',
})

testLong('waits for no end of a line that is too long already', {
  facts,
  script: `C> %AUTH XOAUTH2 ${'A'.repeat(LIMIT)}`,
  ending: 'client-line-too-long',
})

testLong('ends at a long answer to a challenge of the back end', {
  facts,
  challenges: ['e30='],
  script: `
    C: %AUTH XOAUTH2 ${base64('user=alice\x01auth=Bearer t\x01\x01')}
    S: + e30=
    C: ${'A'.repeat(LIMIT + 1)}`,
  ending: 'client-line-too-long',
})

for (const command of [
  'a NOOP',
  'a LOGIN alice',
  'AUTHENTICATE XOAUTH2',
  'a AUTHENTICATED',
  `${'t'.repeat(65)} AUTHENTICATE`,
])
  testClient(`gives no imap command the room of a token but AUTHENTICATE: ${command}`, imap, {
    facts,
    script: `C: ${command} ${'A'.repeat(9000)}`,
    ending: 'client-line-too-long',
  })

for (const command of ['USER', 'PASS', 'CAPA', 'AUTHENTICATE', ' AUTH'])
  testClient(`gives no pop3 command the room of a token but AUTH: ${command}`, pop3, {
    facts,
    script: `C: ${command} ${'A'.repeat(9000)}`,
    ending: 'client-line-too-long',
  })

const LONG = 'user=alice\x01auth=Bearer ' + 't'.repeat(5000) + '\x01\x01'
const SHORT = 'user=alice\x01auth=Bearer ' + 't'.repeat(300) + '\x01\x01'

testLongBackend('imap sends a long first message on a line of its own', {
  login: { relayed: { mechanism: 'XOAUTH2', first: LONG } },
  script: `
    S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready
    C: A AUTHENTICATE XOAUTH2
    S: +\x20
    C: ${base64(LONG)}
    S: A OK [CAPABILITY IMAP4rev1] in`,
  answer: { text: 'in' },
  challenges: [],
})

testBackend('imap sends every first message on a line of its own to a back end without SASL-IR', imap, {
  login: { relayed: { mechanism: 'XOAUTH2', first: SHORT } },
  script: `
    S: * OK [CAPABILITY IMAP4rev1 AUTH=XOAUTH2] ready
    C: A AUTHENTICATE XOAUTH2
    S: +
    C: ${base64(SHORT)}
    S: A OK [CAPABILITY IMAP4rev1] in`,
  answer: { text: 'in' },
  challenges: [],
})

testBackend('imap sends a middling first message along with the command', imap, {
  login: { relayed: { mechanism: 'XOAUTH2', first: SHORT } },
  script: `
    S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready
    C: A AUTHENTICATE XOAUTH2 ${base64(SHORT)}
    S: A OK [CAPABILITY IMAP4rev1] in`,
  answer: { text: 'in' },
})

// RFC 5034 4: 255 octets with the CRLF
for (const [name, octets, fits] of [
  ['fits', 178, true],
  ['does not fit', 181, false],
] as const) {
  const first = `user=alice\x01auth=Bearer ${'t'.repeat(octets - 25)}\x01\x01`
  const line = `AUTH XOAUTH2 ${base64(first)}`
  if (line.length + 2 <= 255 !== fits) throw new Error(`${line.length + 2} octets`)
  testBackend(`pop3 sends a first message that just ${name} into a line as RFC 5034 wants it`, pop3, {
    login: { relayed: { mechanism: 'XOAUTH2', first } },
    script: `
      S: +OK ready
      C: CAPA
      S: +OK
      S: SASL XOAUTH2
      S: .
      ${fits ? `C: ${line}` : `C: AUTH XOAUTH2\n S: +\x20\n C: ${base64(first)}`}
      S: +OK in`,
    answer: { text: 'in' },
    challenges: [],
  })
}

testLongBackend('hands on a challenge of 7 KiB and an answer of 60 KiB', {
  login: { relayed: { mechanism: 'XOAUTH2', first: SHORT, responses: ['A'.repeat(60 * 1024)] } },
  script: `
    S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=XOAUTH2] ready
    C: A AUTHENTICATE XOAUTH2 ${base64(SHORT)}
    S: + ${'B'.repeat(7 * 1024)}
    C: ${'A'.repeat(60 * 1024)}
    S: A NO no`,
  answer: { reason: 'authentication-failed' },
  challenges: ['B'.repeat(7 * 1024)],
})
