/** What is made of a refusal that has no response code, or one that says less than its words: the forms of real servers. */
import { imap } from '../../src/protocol/imap/imap.ts'
import { pop3 } from '../../src/protocol/pop3/pop3.ts'
import { base64, testBackend, type BackendCase } from './play.ts'

type Answer = BackendCase['answer']

const CREDENTIALS: Answer = { reason: 'authentication-failed' }
const OUTAGE: Answer = 'backend-unavailable'
const ACCOUNT: Answer = { reason: 'unavailable' }
const SETUP: Answer = { reason: 'misconfigured' }
const CLOSED: Answer = { reason: 'disabled' }
const limit = (code: string): Answer => ({ reason: 'passed-on', code, text: 'Too many connections.' })
const locked = (code: string): Answer => ({
  reason: 'passed-on',
  code,
  text: 'The mailbox is in use by another session.',
})

const DOVECOT_LIMIT = 'Maximum number of connections from user+IP exceeded (mail_max_userip_connections=10)'

/** By server; the answer without its tag. */
const IMAP: [server: string, says: string, answer: Answer][] = [
  ['Dovecot', 'NO Authentication failed.', CREDENTIALS],
  ['Dovecot', 'NO Temporary authentication failure.', OUTAGE],
  ['Dovecot', 'NO [UNAVAILABLE] Temporary authentication failure. [store:2026-01-01 00:00:00]', OUTAGE],
  ['Dovecot', 'NO Internal login failure. Refer to server log for more information.', OUTAGE],
  ['Dovecot', 'NO Account is temporarily unavailable.', OUTAGE],
  ['Dovecot before 2.3.10', `NO [UNAVAILABLE] ${DOVECOT_LIMIT}`, limit('LIMIT')],
  ['Dovecot', `NO [LIMIT] ${DOVECOT_LIMIT}`, { reason: 'passed-on', code: 'LIMIT', text: DOVECOT_LIMIT }],
  ['Cyrus', 'NO Login failed: authentication failure', CREDENTIALS],
  ['Cyrus', 'NO Login failed: user not found', CREDENTIALS],
  ['Cyrus', 'NO Login failed: generic failure', OUTAGE],
  ['Cyrus', 'NO generic failure', OUTAGE],
  ['Cyrus', 'NO Too many open connections (10 of 10 for alice)', limit('LIMIT')],
  ['Cyrus', 'NO Login only available under a layer', SETUP],
  ['Courier', 'NO Login failed.', CREDENTIALS],
  ['Exchange', 'NO LOGIN failed.', CREDENTIALS],
  ['Exchange', 'NO AUTHENTICATE failed.', CREDENTIALS],
  ['Exchange', 'NO Server Unavailable. 15', OUTAGE],
  ['Exchange', 'BAD Server Unavailable. 15', OUTAGE],
  ['Exchange', 'BAD User is authenticated but not connected.', ACCOUNT],
  ['hMailServer', 'NO Invalid user name or password.', CREDENTIALS],
  ['hMailServer', 'BAD Goodbye', CREDENTIALS],
  ['hMailServer', 'BAD STARTTLS is required.', SETUP],
  ['Zimbra', 'NO LOGIN failed', CREDENTIALS],
  ['Zimbra', 'NO account does not have IMAP access enabled', CLOSED],
  [
    'Zimbra',
    'NO [ALERT] account undergoing maintenance; please try again later',
    {
      reason: 'passed-on',
      code: 'ALERT',
      text: 'account undergoing maintenance; please try again later',
    },
  ],
  ['James', 'NO LOGIN failed. Invalid login/password.', CREDENTIALS],
  ['James', 'NO LOGIN processing failed.', OUTAGE],
  ['Stalwart', 'NO [AUTHENTICATIONFAILED] Authentication failed', CREDENTIALS],
  [
    'Stalwart',
    'NO [LIMIT] Too many concurrent requests',
    {
      reason: 'passed-on',
      code: 'LIMIT',
      text: 'Too many concurrent requests',
    },
  ],
  [
    'Gmail',
    'NO [THROTTLED] Account exceeded command or bandwidth limits.',
    {
      reason: 'passed-on',
      code: 'THROTTLED',
      text: 'Account exceeded command or bandwidth limits.',
    },
  ],
  [
    'Gmail',
    'NO [WEBALERT https://accounts.example.test/signin] Web login required.',
    {
      reason: 'passed-on',
      code: 'WEBALERT https://accounts.example.test/signin',
      text: 'Web login required.',
    },
  ],
  ['a server with RFC 5530', 'NO [NOPERM] not here', { reason: 'authorization-failed' }],
  ['a server with RFC 5530', 'NO [CORRUPTION] index', SETUP],
  ['a server with RFC 5530, in small letters', 'no [unavailable] db', OUTAGE],
]

for (const [server, says, answer] of IMAP)
  testBackend(`imap: understands ${server}: ${says}`, imap, {
    script: `
      S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready
      C: A AUTHENTICATE PLAIN ${base64('\0alice\0secret')}
      S: A ${says}`,
    answer,
  })

const BYE: [server: string, says: string, answer: Answer][] = [
  ['Courier', 'IMAP access disabled for this account.', CLOSED],
  ['Courier', 'Temporary problem, please try again later', 'backend-bye'],
  ['Dovecot', DOVECOT_LIMIT, limit('LIMIT')],
]

for (const [server, says, answer] of BYE)
  testBackend(`imap: understands ${server}, in place of an answer: * BYE ${says}`, imap, {
    script: `
      S: * OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] ready
      C: A AUTHENTICATE PLAIN ${base64('\0alice\0secret')}
      S: * BYE ${says}`,
    answer,
  })

const POP3: [server: string, says: string, answer: Answer][] = [
  ['Dovecot', '-ERR Authentication failed.', CREDENTIALS],
  ['Dovecot', '-ERR Temporary authentication failure.', OUTAGE],
  ['Dovecot before 2.3', '-ERR [IN-USE] Internal login failure. Refer to server log for more information.', OUTAGE],
  ['Dovecot', `-ERR [IN-USE] ${DOVECOT_LIMIT}`, { reason: 'passed-on', code: 'IN-USE', text: DOVECOT_LIMIT }],
  ['Dovecot', `-ERR [SYS/TEMP] ${DOVECOT_LIMIT}`, limit('IN-USE')],
  ['Cyrus', '-ERR [AUTH] Invalid login', CREDENTIALS],
  ['Cyrus', '-ERR Too many open connections (10 of 10 for alice)', limit('IN-USE')],
  ['Courier', '-ERR Login failed.', CREDENTIALS],
  ['Courier', '-ERR Temporary problem, please try again later', OUTAGE],
  ['Courier', '-ERR TLS required to log in.', SETUP],
  ['Courier', '-ERR POP3 access disabled for this account.', CLOSED],
  ['Courier', '-ERR Your account is temporarily unavailable (+t bit set on home directory).', ACCOUNT],
  ['Exchange', '-ERR Logon failure: unknown user name or bad password.', CREDENTIALS],
  ['Exchange', '-ERR Server Unavailable. 21', OUTAGE],
  ['hMailServer', '-ERR Invalid user name or password. Too many invalid logon attempts.', CREDENTIALS],
  ['hMailServer', '-ERR Unable to access mailbox.', OUTAGE],
  ['hMailServer', '-ERR Your mailbox is already locked', locked('IN-USE')],
  ['hMailServer', '-ERR STLS is required.', SETUP],
  ['Zimbra', '-ERR LOGIN failed', CREDENTIALS],
  ['Zimbra', '-ERR your account is having maintenance peformed. please try again later', ACCOUNT],
  ['Zimbra', '-ERR pop access not enabled for account', CLOSED],
  ['James', '-ERR Authentication failed.', CREDENTIALS],
  ['James', '-ERR Unexpected error accessing mailbox', OUTAGE],
  ['Stalwart', '-ERR Authentication failed', CREDENTIALS],
  ['Stalwart', '-ERR Too many concurrent requests', limit('IN-USE')],
  ['popa3d', '-ERR Authentication failed (bad password?)', CREDENTIALS],
]

for (const [server, says, answer] of POP3)
  testBackend(`pop3: understands ${server}: ${says}`, pop3, {
    script: `
      S: +OK ready
      C: CAPA
      S: -ERR
      C: USER alice
      S: +OK
      C: PASS secret
      S: ${says}`,
    answer,
  })
