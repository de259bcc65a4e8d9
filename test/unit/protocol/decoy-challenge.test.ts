import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createDecoyChallenge } from '../../../src/protocol/decoy-challenge.ts'

const FIRST = 'n,,n=nobody,r=fyko+d2lbbFgONRv9qkxdawL'

/** RFC 5802 7, server-first-message; the shape is Dovecot's. */
const SHAPE = /^r=(?<nonce>[\x21-\x2b\x2d-\x7e]+),s=(?<salt>[A-Za-z0-9+/]{22}==),i=4096$/

function read(challenge: string): { nonce: string; salt: string } {
  const { nonce = '', salt = '' } = SHAPE.exec(Buffer.from(challenge, 'base64').toString('latin1'))?.groups ?? {}
  assert.notEqual(nonce, '', Buffer.from(challenge, 'base64').toString('latin1'))
  return { nonce, salt }
}

test('has the shape of a challenge of Dovecot, and begins with the nonce of the client', () => {
  const build = createDecoyChallenge('secret')
  for (let i = 0; i < 500; i++) {
    const { nonce } = read(build('SCRAM-SHA-256', 'nobody', FIRST))
    assert.ok(nonce.startsWith('fyko+d2lbbFgONRv9qkxdawL'))
    assert.equal(nonce.length, 'fyko+d2lbbFgONRv9qkxdawL'.length + 64)
  }
})

test('reads the nonce of the client behind an authzid, a name with escapes and before extensions', () => {
  const build = createDecoyChallenge('secret')
  const { nonce } = read(build('SCRAM-SHA-1', 'nobody', 'y,a=other=2Cr=3Dx,n=no=2Cr=3Dbody,r=abc,x=y'))
  assert.ok(nonce.startsWith('abc') && nonce.length === 67)
})

test('has a new nonce and the same salt for each attempt of a user, wherever the secret is the same', () => {
  const [one, two] = [createDecoyChallenge('secret'), createDecoyChallenge('secret')]
  const first = read(one('SCRAM-SHA-256', 'nobody', FIRST))
  const second = read(two('SCRAM-SHA-256', 'nobody', FIRST))
  assert.equal(first.salt, second.salt)
  assert.notEqual(first.nonce, second.nonce)
})

test('has another salt for another user, mechanism or secret', () => {
  const build = createDecoyChallenge('secret')
  const salts = [
    build('SCRAM-SHA-256', 'nobody', FIRST),
    build('SCRAM-SHA-256', 'nobody2', FIRST),
    build('SCRAM-SHA-1', 'nobody', FIRST),
    createDecoyChallenge('other')('SCRAM-SHA-256', 'nobody', FIRST),
  ].map((challenge) => read(challenge).salt)
  assert.equal(new Set(salts).size, 4)
})
