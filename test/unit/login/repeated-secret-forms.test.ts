/** In which forms a secret is recognised in the words of a back end. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MuxError } from '../../../src/errors.ts'
import { hideSecrets, withoutSecrets } from '../../../src/login/repeated-secret.ts'
import { asOctets, type Octets } from '../../../src/octets.ts'
import type { BackendLogin } from '../../../src/protocol/protocol.ts'
import { Secret } from '../../../src/secret.ts'

const HIDDEN = 'the back end repeats a password or token, so that its words are not shown'
const base64 = (text: string): string => Buffer.from(text, 'latin1').toString('base64')

type Login = Pick<BackendLogin, 'user' | 'credentials'>

function withPassword(password: string): Login {
  const user = asOctets('alice')
  return { user, credentials: { kind: 'password', authcid: user, password: new Secret(asOctets(password)) } }
}

function withToken(message: string | undefined): Login {
  const firstMessage = (): Secret<Octets> | undefined =>
    message === undefined ? undefined : new Secret(asOctets(message))
  const converse = (): Promise<string> => Promise.resolve('*')
  return { user: asOctets('alice'), credentials: { kind: 'relayed', mechanism: 'XOAUTH2', firstMessage, converse } }
}

const PASSWORD = 'pass "word\\ of more than sixteen octets'
const TOKEN = 'ya29.a-token-that-is-longer-than-a-quote'
const MESSAGE = `user=alice\x01auth=Bearer  ${TOKEN}\x01\x01`

const SHOWN: Record<string, [Login, string]> = {
  'other words': [withPassword(PASSWORD), 'no such user'],
  'the user’s name': [withPassword(PASSWORD), 'no user alice'],
  'less than the recognised beginning': [withPassword('0123456789abcdefgh'), 'bad 0123456789abcde'],
  'other words beside a token': [withToken(MESSAGE), 'the token has ended'],
  'the scheme of a token': [withToken(MESSAGE), 'auth=Bearer is not supported'],
  'a SCRAM message, which would do for no other login': [withToken('n,,n=alice,r=nonce'), 'bad n,,n=alice,r=nonce'],
  'anything where there is no message': [withToken(undefined), 'undefined Stryker'],
}

const HIDDEN_FORMS: Record<string, [Login, string]> = {
  'a password': [withPassword(PASSWORD), `bad ${PASSWORD}`],
  'a quoted password': [withPassword(PASSWORD), `bad "${PASSWORD.replace(/["\\]/g, '\\$&')}"`],
  'the beginning of a long password': [withPassword('0123456789abcdefgh'), 'bad 0123456789abcdef'],
  'a short password': [withPassword('secret'), 'bad secret'],
  'PLAIN in base64': [withPassword(PASSWORD), `bad ${base64(`\0alice\0${PASSWORD}`)}`],
  'a token': [withToken(MESSAGE), `bad ${TOKEN}`],
  'the beginning of a token': [withToken(MESSAGE), `bad ${TOKEN.slice(0, 16)}`],
  'a token whose scheme is in lower case': [withToken(MESSAGE.replace('Bearer', 'bearer')), `bad ${TOKEN}`],
  'a token’s message in base64': [withToken(MESSAGE), `bad ${base64(MESSAGE)}`],
}

test('shows what quotes no secret', () => {
  for (const [what, [login, text]] of Object.entries(SHOWN)) {
    assert.equal(hideSecrets(text, login), text, what)
    const error = new MuxError('backend-garbage', text)
    assert.equal(withoutSecrets(error, login), error, what)
  }
})

test('hides what quotes a secret, in each form', () => {
  for (const [what, [login, text]] of Object.entries(HIDDEN_FORMS)) {
    assert.equal(hideSecrets(text, login), HIDDEN, what)
    const error = withoutSecrets(new MuxError('backend-garbage', text), login)
    assert.ok(error instanceof MuxError, what)
    assert.deepEqual([error.code, error.message, error.cause], ['backend-garbage', HIDDEN, undefined])
  }
})

test('hands on what is no failure of a back end', () => {
  const error = new Error('secret')
  assert.equal(withoutSecrets(error, withPassword('secret')), error)
})
