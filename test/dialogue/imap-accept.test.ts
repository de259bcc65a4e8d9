/** How an IMAP client learns that it is in, and what the back end can do (peers: Dovecot's rules for capabilities). */
import { imap } from '../../src/protocol/imap/imap.ts'
import type { Acceptance } from '../../src/protocol/protocol.ts'
import { accepted, alice, base64, testClient, type ClientCase } from './play.ts'

const CAPABILITIES = `
    C: c CAPABILITY
    S: /^\\* CAPABILITY /
    S: c OK CAPABILITY completed.`
const LOGIN = `
    C: a LOGIN alice secret`

const IN_ANSWER: Acceptance['capability'] = { words: 'IMAP4rev1 IDLE', where: 'answer' }
const BESIDE: Acceptance['capability'] = { words: 'IMAP4rev1 IDLE', where: 'beside' }

const CASES: Record<string, Partial<ClientCase> & { acceptance: Partial<Acceptance> }> = {
  'passes on the capabilities of the answer in the answer': {
    script: `${LOGIN}
    S: a OK [CAPABILITY IMAP4rev1 IDLE] Logged in`,
    acceptance: { capability: IN_ANSWER, code: 'CAPABILITY IMAP4rev1 IDLE' },
  },
  // Dovecot does so too, for a client that has shown that it does not read response codes.
  'puts the capabilities of the answer beside it for a client that has asked': {
    script: `${CAPABILITIES}${LOGIN}
    S: * CAPABILITY IMAP4rev1 IDLE
    S: a OK Logged in`,
    acceptance: { capability: IN_ANSWER },
  },
  'puts capabilities into the answer for a client that has not asked': {
    script: `${LOGIN}
    S: a OK [CAPABILITY IMAP4rev1 IDLE] Logged in`,
    acceptance: { capability: BESIDE },
  },
  'puts capabilities beside the answer for a client that has asked': {
    script: `${CAPABILITIES}${LOGIN}
    S: * CAPABILITY IMAP4rev1 IDLE
    S: a OK Logged in`,
    acceptance: { capability: BESIDE },
  },
  'keeps another code of the answer where the capabilities go beside it': {
    script: `${CAPABILITIES}${LOGIN}
    S: * CAPABILITY IMAP4rev1 IDLE
    S: a OK [ALERT] Logged in`,
    acceptance: { capability: BESIDE, code: 'ALERT' },
  },
  'sends another code ahead where capabilities take its place': {
    script: `${LOGIN}
    S: * OK [ALERT] Logged in
    S: a OK [CAPABILITY IMAP4rev1 IDLE] Logged in`,
    acceptance: { capability: BESIDE, code: 'ALERT' },
  },
  'says no more than it knows': {
    script: `${LOGIN}
    S: a OK Logged in`,
    acceptance: {},
  },
  'hands untagged lines on before everything else': {
    script: `${CAPABILITIES}${LOGIN}
    S: * OK [ALERT] Your mailbox is nearly full
    S: * NO disk space is low
    S: * CAPABILITY IMAP4rev1 IDLE
    S: a OK Logged in`,
    acceptance: {
      capability: BESIDE,
      untagged: ['* OK [ALERT] Your mailbox is nearly full', '* NO disk space is low'],
    },
  },
  'answers with the tag of the login that was accepted': {
    script: `
    C: first NOOP
    S: first OK NOOP completed.
    C: A.007 LOGIN alice secret
    S: A.007 OK Logged in`,
    acceptance: {},
  },
  // It asked although the greeting had told it, and will not look into the answer after TLS either
  'remembers over STARTTLS that a client asked in clear': {
    script: `${CAPABILITIES}
    C: s STARTTLS
    S: s OK Begin TLS negotiation now.
    = TLS${LOGIN}
    S: * CAPABILITY IMAP4rev1 IDLE
    S: a OK Logged in`,
    secure: false,
    facts: { startTlsOffered: true },
    acceptance: { capability: BESIDE },
  },
}

for (const [name, { acceptance, script = '', ...rest }] of Object.entries(CASES)) {
  testClient(name, imap, {
    ...rest,
    script,
    answers: [accepted(acceptance)],
    attempts: [alice('LOGIN')],
    ending: 'accepted',
    unread: '',
  })
}

testClient('answers an AUTHENTICATE that was accepted, and reads no further', imap, {
  script: `
    C: a AUTHENTICATE PLAIN
    S: +\x20
    C: ${base64('\0alice\0secret')}
    C: b IDLE
    S: a OK Logged in`,
  answers: [accepted()],
  attempts: [alice('PLAIN')],
  ending: 'accepted',
  unread: 'b IDLE\r\n',
})

testClient('refuses mechanisms that it does not offer, and does not wait for a response', imap, {
  script: `
    C: a AUTHENTICATE CRAM-MD5
    S: a NO [CANNOT] Unsupported authentication mechanism.
    C: b AUTHENTICATE GSSAPI ${base64('x')}
    S: b NO [CANNOT] Unsupported authentication mechanism.
    C: c NOOP
    S: c OK NOOP completed.`,
})

testClient('refuses AUTHENTICATE without a mechanism, or with more than a response', imap, {
  script: `
    C: a AUTHENTICATE
    S: a BAD AUTHENTICATE takes a mechanism and at most an initial response
    C: b AUTHENTICATE PLAIN ${base64('\0alice\0secret')} more
    S: b BAD AUTHENTICATE takes a mechanism and at most an initial response`,
})
