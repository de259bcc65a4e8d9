/** What mailmux reads of a back end before and during a login is bounded, in lines and in octets, wherever a back end can send without end. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MemoryWire } from '../support/memory-wire.ts'
import { base64, protocols, testBackend, type BackendCase } from './play.ts'

const PLAIN = base64('\0alice\0secret')
/** Each line by itself is one that mailmux expects. */
const flood = (line: string, count = 300): string => Array.from({ length: count }, () => `S: ${line}`).join('\n')

const SCRAM: BackendCase['login'] = {
  relayed: {
    mechanism: 'SCRAM-SHA-256',
    first: 'n,,n=alice,r=abc',
    responses: Array.from({ length: 300 }, () => 'AAAA'),
  },
}
/** Up to the challenge that is one too many. */
const challenges = (count: number): string => `${'S: + AAAA\nC: AAAA\n'.repeat(count)}S: + AAAA`

const IMAP: Record<string, Omit<BackendCase, 'answer'>> = {
  'capabilities before the login': {
    script: `
      S: * OK ready
      C: C CAPABILITY
      ${flood('* CAPABILITY IMAP4rev1 AUTH=PLAIN')}`,
  },
  'capabilities before the login, in few long lines': {
    script: `
      S: * OK ready
      C: C CAPABILITY
      ${flood(`* CAPABILITY IMAP4rev1 ${'X'.repeat(8000)}`, 20)}`,
  },
  'capabilities beside the answer to STARTTLS': {
    login: { startTls: true },
    script: `
      S: * OK [CAPABILITY IMAP4rev1 STARTTLS] ready
      C: S STARTTLS
      ${flood('* OK [CAPABILITY IMAP4rev1] not yet')}`,
  },
  'answers to what it was told of the client': {
    login: { identity: {} },
    script: `
      S: * OK [CAPABILITY IMAP4rev1 ID SASL-IR AUTH=PLAIN] ready
      C: /^I ID /
      C: A AUTHENTICATE PLAIN ${PLAIN}
      ${flood('* ID NIL')}`,
  },
  'completions of what it was told of the client': {
    login: { identity: {} },
    script: `
      S: * OK [CAPABILITY IMAP4rev1 ID SASL-IR AUTH=PLAIN] ready
      C: /^I ID /
      C: A AUTHENTICATE PLAIN ${PLAIN}
      ${flood('I OK ID completed')}`,
  },
  'capabilities during the login': {
    script: `
      S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready
      C: A AUTHENTICATE PLAIN ${PLAIN}
      ${flood('* CAPABILITY IMAP4rev1')}`,
  },
  'capabilities after the login': {
    script: `
      S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready
      C: A AUTHENTICATE PLAIN ${PLAIN}
      S: A OK in
      C: C CAPABILITY
      ${flood('* CAPABILITY IMAP4rev1')}`,
  },
  challenges: {
    login: SCRAM,
    script: `
      S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-256] ready
      C: A AUTHENTICATE SCRAM-SHA-256 ${base64('n,,n=alice,r=abc')}
      ${challenges(255)}`,
  },
}

const POP3: Record<string, Omit<BackendCase, 'answer'>> = {
  'capabilities before the login': {
    script: `
      S: +OK ready
      C: CAPA
      S: +OK
      ${flood('TOP')}`,
  },
  'capabilities before the login, in few long lines, twice': {
    login: { startTls: true },
    script: `
      S: +OK ready
      C: CAPA
      S: +OK
      S: STLS
      ${flood('X'.repeat(2000), 40)}
      S: .
      C: STLS
      S: +OK
      = TLS
      C: CAPA
      S: +OK
      ${flood('X'.repeat(2000), 40)}`,
  },
  challenges: {
    login: SCRAM,
    script: `
      S: +OK ready
      C: CAPA
      S: +OK
      S: SASL SCRAM-SHA-256
      S: .
      C: AUTH SCRAM-SHA-256 ${base64('n,,n=alice,r=abc')}
      ${challenges(252)}`,
  },
}

for (const [name, floods] of Object.entries({ imap: IMAP, pop3: POP3 }))
  for (const [what, wanted] of Object.entries(floods))
    testBackend(`${name} gives up at a back end that sends ${what} without end`, protocols[name as 'imap' | 'pop3'], {
      ...wanted,
      answer: 'backend-garbage',
    })

test('imap asks for capabilities, as a health check does, no longer than a login', async () => {
  const wire = new MemoryWire('backend')
  const rejected = assert.rejects(protocols.imap.askCapabilities(wire, false), { code: 'backend-garbage' })
  await wire.send('* OK ready\r\n')
  await wire.expect('C CAPABILITY')
  await wire.send('* CAPABILITY IMAP4rev1\r\n'.repeat(300))
  await rejected
})
