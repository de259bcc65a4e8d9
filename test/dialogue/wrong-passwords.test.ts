/** The fifth refusal of credentials ends the connection, in each protocol, by every mechanism and for each kind of refusal. */
import type { Refusal } from '../../src/protocol/protocol.ts'
import {
  accepted,
  alice,
  base64,
  protocols,
  testClient,
  type Attempt,
  type ClientCase,
  type RelayedAttempt,
} from './play.ts'

const LIMIT = 5
const ENDING = 'client-too-many-wrong-passwords'
const LOGIN = { imap: 'C: a LOGIN alice secret', pop3: 'C: USER alice\nS: +OK Send PASS.\nC: PASS secret' }
const PLAIN = { imap: 'C: a AUTHENTICATE PLAIN', pop3: 'C: AUTH PLAIN' }
const LOGIN_MECHANISM = { imap: 'LOGIN', pop3: 'USER' } as const
const NO = { imap: 'a NO', pop3: '-ERR' }

/** Refusals that are about the credentials, and the answer to each after the tag or -ERR. */
const COUNTED: Record<string, { refusal: Refusal; imap: string; pop3: string }> = {
  'a wrong password': {
    refusal: { reason: 'authentication-failed' },
    imap: 'a NO [AUTHENTICATIONFAILED] Authentication failed.',
    pop3: '-ERR [AUTH] Authentication failed.',
  },
  'a user whom it may not act for': {
    refusal: { reason: 'authorization-failed' },
    imap: 'a NO [AUTHORIZATIONFAILED] Not allowed to log in as that user.',
    pop3: '-ERR [AUTH] Not allowed to log in as that user.',
  },
  'a disabled account': {
    refusal: { reason: 'disabled' },
    imap: 'a NO [CONTACTADMIN] This account is disabled.',
    pop3: '-ERR [AUTH] This account is disabled.',
  },
  'an expired password': {
    refusal: { reason: 'passed-on', code: 'EXPIRED', text: 'expired' },
    imap: 'a NO [EXPIRED] expired',
    pop3: '-ERR [EXPIRED] expired',
  },
}

for (const name of ['imap', 'pop3'] as const) {
  const play = (title: string, wanted: ClientCase): void => testClient(`${name}: ${title}`, protocols[name], wanted)

  for (const [title, { refusal, ...answer }] of Object.entries(COUNTED))
    play(`the fifth answer that names ${title} is the last`, {
      script: `${LOGIN[name]}\nS: ${answer[name]}\n`.repeat(LIMIT),
      answers: Array<Refusal>(LIMIT).fill(refusal),
      attempts: Array<Attempt>(LIMIT).fill(alice(LOGIN_MECHANISM[name])),
      ending: ENDING,
    })

  play('outages and limits of the moment are not counted', {
    script: [
      `${LOGIN[name]}\nS: /UNAVAILABLE|SYS.TEMP/\n`.repeat(LIMIT),
      `${LOGIN[name]}\nS: ${NO[name]} [LIMIT] busy\n`.repeat(LIMIT),
      `${LOGIN[name]}\nS: ${COUNTED['a wrong password']![name]}\n`,
    ].join('\n'),
    answers: [
      ...Array<Refusal>(LIMIT).fill({ reason: 'unavailable' }),
      ...Array<Refusal>(LIMIT).fill({ reason: 'passed-on', code: 'LIMIT', text: 'busy' }),
    ],
    attempts: Array<Attempt>(2 * LIMIT + 1).fill(alice(LOGIN_MECHANISM[name])),
  })

  play('four wrong passwords leave the fifth login to succeed', {
    script: [
      `${LOGIN[name]}\nS: ${COUNTED['a wrong password']![name]}\n`.repeat(LIMIT - 1),
      `${LOGIN[name]}\nS: /OK/`,
    ].join('\n'),
    answers: [...Array<Refusal>(LIMIT - 1).fill({ reason: 'authentication-failed' }), accepted()],
    attempts: Array<Attempt>(LIMIT).fill(alice(LOGIN_MECHANISM[name])),
    ending: 'accepted',
  })

  play('wrong passwords count together, whatever the mechanism', {
    script: [
      `${LOGIN[name]}\nS: ${COUNTED['a wrong password']![name]}\n`.repeat(2),
      `${PLAIN[name]} ${base64('\0alice\0secret')}\nS: ${COUNTED['a wrong password']![name]}\n`.repeat(3),
    ].join('\n'),
    attempts: [...Array<Attempt>(2).fill(alice(LOGIN_MECHANISM[name])), ...Array<Attempt>(3).fill(alice('PLAIN'))],
    ending: ENDING,
  })

  play('a certificate that may not act for the user is refused five times', {
    script: `${PLAIN[name].replace('PLAIN', 'EXTERNAL')} ${base64('bob')}
      S: ${COUNTED['a user whom it may not act for']![name]}
      `.repeat(LIMIT),
    certifiedUser: 'alice',
    facts: { mechanisms: ['EXTERNAL'] },
    attempts: [],
    ending: ENDING,
  })

  play('a token whose refusal the client answers with a cancel counts', {
    script: `${PLAIN[name].replace('PLAIN', 'XOAUTH2')} ${base64('user=alice\x01auth=Bearer t\x01\x01')}
      S: + e30=
      C: *
      S: /cancelled/
      `.repeat(LIMIT),
    facts: { mechanisms: ['XOAUTH2'] },
    challenges: ['e30='],
    answers: Array<Refusal>(LIMIT).fill({ reason: 'cancelled' }),
    attempts: Array<RelayedAttempt>(LIMIT).fill({
      user: 'alice',
      mechanism: 'XOAUTH2',
      firstMessage: 'user=alice\x01auth=Bearer t\x01\x01',
      responses: ['*'],
    }),
    ending: ENDING,
  })
}
