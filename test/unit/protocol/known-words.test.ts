/** The words of real servers for a refusal, each form at its shortest, and texts that only look like one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { meaningOf, type Meaning } from '../../../src/protocol/known-words.ts'

const FORMS: Record<Meaning, readonly string[]> = {
  unavailable: [
    'Temporary authentication failure',
    'Internal login failure. Refer to server log',
    'Internal error occurred. Refer to server log',
    'Account is temporarily unavailable',
    'Account is temporarily unavailable.',
    'generic failure',
    'no memory available',
    'remote authentication server unavailable',
    'Login failed: generic failure',
    'Login failed: no memory available',
    'Login failed: remote authentication server unavailable',
    'Temporary problem, please try again later',
    'Server Unavailable. 1',
    'Server Unavailable. 15',
    'Unable to access mailbox',
    'Unable to access mailbox.',
    'LOGIN processing failed',
    'AUTHENTICATE processing failed',
    'Unexpected error accessing mailbox',
  ],
  limit: [
    'Maximum number of connections from user+IP exceeded',
    'Too many open connections (',
    'Too many concurrent connections',
    'Too many concurrent requests',
    'Too many requests',
    'Too many calls in',
  ],
  account: [
    'Your account is temporarily unavailable (',
    'chdir /home/alice failed',
    'Maildir invalid',
    'User is authenticated but not connected',
    'your account is having maintenance peformed',
    'your account is having maintenance performed',
  ],
  locked: ['Your mailbox is already locked'],
  closed: [
    'POP3 access disabled for this account',
    'IMAP access disabled for this account',
    'pop access not enabled for account',
    'account does not have IMAP access enabled',
  ],
  misconfigured: [
    'Login only available under a layer',
    'TLS required to log in',
    'POP3 access disabled via insecure connection',
    'IMAP access disabled via insecure connection',
    'STARTTLS is required',
    'STLS is required',
    'A SSL/TLS-connection is required',
  ],
  credentials: ['Goodbye'],
}

/** A text of one of these must be this text and no other. */
const WHOLE = /^(?:Account is temp|Unable|Goodbye|Too many (?:concurrent|requests|calls))/

for (const [meaning, forms] of Object.entries(FORMS))
  for (const words of forms)
    test(`"${words}" means ${meaning}`, () => {
      assert.equal(meaningOf(words), meaning)
      assert.equal(meaningOf(`alice says: ${words}`), undefined, 'a user may choose what stands before it')
      assert.equal(meaningOf(`${words} and more`), WHOLE.test(words) ? undefined : meaning)
    })

for (const words of [
  '',
  'Authentication failed.',
  'Login failed: user not found',
  'Login failed: ',
  'Temporary',
  'Internal server error. Refer to server log',
  'Internal login failure',
  'Internal login failure! Refer to server log',
  'Account is temporarily unavailable..',
  'Account is temporarily unavailable!',
  'Unable to access mailbox!',
  'Maximum number of connections from user IP exceeded',
  'Maximum number of connections from userIP exceeded',
  'Too many open connections',
  'Too many concurrent',
  'Too many concurrent logins',
  'Server Unavailable',
  'Server Unavailable. ',
  'Server Unavailable. x',
  'Server Unavailable! 15',
  'Your account is temporarily unavailable',
  'chdir failed',
  'SMTP access disabled for this account',
  'POP3 access disabled',
  'your account is having maintenance',
  'your account is having maintenance perrformed',
  'NOOP processing failed',
  'SSL is required',
  'goodbye',
])
  test(`"${words}" matches no server in the table`, () => assert.equal(meaningOf(words), undefined))
