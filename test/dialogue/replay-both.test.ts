/** What both protocols promise of a back end that is broken, slow in words or attacked, from one table. */
import { base64, protocols, testBackend, type BackendCase } from './play.ts'

const PLAIN = base64('\0alice\0secret')

const IMAP_OFFER = 'S: * OK [CAPABILITY IMAP4rev1 STARTTLS SASL-IR AUTH=PLAIN] ready'
const POP3_OFFER = `S: +OK ready
      C: CAPA
      S: +OK
      S: STLS
      S: SASL PLAIN
      S: .`

const PROMISES: Record<string, Omit<BackendCase, 'script'> & { imap: string; pop3: string }> = {
  'that closes before its greeting': {
    imap: '= end',
    pop3: '= end',
    answer: 'backend-closed',
  },
  'that closes within its greeting': {
    imap: `S> * OK [CAPABIL
      = end`,
    pop3: `S> +OK re
      = end`,
    answer: 'backend-closed',
  },
  'that closes in place of an answer': {
    imap: `${IMAP_OFFER}
      C: A AUTHENTICATE PLAIN ${PLAIN}
      = end`,
    pop3: `${POP3_OFFER}
      C: AUTH PLAIN ${PLAIN}
      = end`,
    answer: 'backend-closed',
  },
  'whose greeting is noise': {
    imap: 'S: \x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03',
    pop3: 'S: \x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03',
    answer: 'backend-garbage',
  },
  'whose greeting does not end': {
    imap: `S> * OK ${'x'.repeat(8192)}`,
    pop3: `S> +OK ${'x'.repeat(2048)}`,
    answer: 'backend-garbage',
  },
  'whose answer is noise': {
    imap: `${IMAP_OFFER}
      C: A AUTHENTICATE PLAIN ${PLAIN}
      S: what?`,
    pop3: `${POP3_OFFER}
      C: AUTH PLAIN ${PLAIN}
      S: what?`,
    answer: 'backend-garbage',
  },
  // whoever is let in without a password is not this user
  'that says OK before it has the password': {
    login: { password: 'x'.repeat(300) },
    imap: `
      S: * OK [CAPABILITY IMAP4rev1 AUTH=PLAIN] ready
      C: A AUTHENTICATE PLAIN
      S: A OK [CAPABILITY IMAP4rev1] in`,
    pop3: `
      S: +OK ready
      C: CAPA
      S: +OK
      S: SASL PLAIN
      S: .
      C: AUTH PLAIN
      S: +OK`,
    answer: 'backend-garbage',
  },
  'that does not offer the TLS that it must start': {
    login: { startTls: true },
    imap: 'S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready',
    pop3: `S: +OK ready
      C: CAPA
      S: +OK
      S: SASL PLAIN
      S: .`,
    answer: 'backend-no-starttls',
  },
  'that refuses the TLS that it offers': {
    login: { startTls: true },
    imap: `${IMAP_OFFER}
      C: S STARTTLS
      S: S NO not now`,
    pop3: `${POP3_OFFER}
      C: STLS
      S: -ERR not now`,
    answer: 'backend-no-starttls',
  },
  // CVE-2011-0411, the other way round: what was put in behind the go-ahead would be read as if it came through TLS
  'with lines in clear behind its go-ahead for TLS': {
    login: { startTls: true },
    imap: `${IMAP_OFFER}
      C: S STARTTLS
      S: S OK begin
      S: * CAPABILITY IMAP4rev1
      S: C OK done`,
    pop3: `${POP3_OFFER}
      C: STLS
      S: +OK begin
      S: +OK
      S: .`,
    answer: ['backend-bytes-before-tls', 'backend-tls-failed'],
  },
}

for (const name of ['imap', 'pop3'] as const)
  for (const [what, { imap, pop3, ...rest }] of Object.entries(PROMISES))
    testBackend(`${name} sends no password to a back end ${what}`, protocols[name], {
      ...rest,
      script: { imap, pop3 }[name],
    })
