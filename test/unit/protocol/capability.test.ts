import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MECHANISMS } from '../../../src/config/settings.ts'
import { asOctets } from '../../../src/octets.ts'
import { canStartTls, mayAuthenticate, mayUseLogin, offeredMechanisms } from '../../../src/protocol/predicates.ts'
import * as imap from '../../../src/protocol/imap/capability.ts'
import * as pop3 from '../../../src/protocol/pop3/capability.ts'
import type { DialogueFacts } from '../../../src/protocol/protocol.ts'
import { protocols } from '../../../src/protocol/protocols.ts'
import { MemoryWire } from '../../support/memory-wire.ts'

function facts(changes: Partial<DialogueFacts> = {}): DialogueFacts {
  return {
    banner: '',
    product: 'mailmux',
    startTlsOffered: true,
    allowPlaintextAuth: false,
    mechanisms: MECHANISMS,
    announced: [],
    maxLineBytes: 8192,
    maxBadCommands: 3,
    maxWrongPasswords: 5,
    ...changes,
  }
}

function client({ secure = true, certifiedUser }: { secure?: boolean; certifiedUser?: string } = {}): MemoryWire {
  const wire = new MemoryWire('client', { secure })
  wire.certifiedUser = certifiedUser === undefined ? undefined : asOctets(certifiedUser)
  return wire
}

test('offers EXTERNAL to a client with a certificate alone', () => {
  assert.deepEqual(offeredMechanisms(facts(), client()), MECHANISMS.slice(0, -1))
  assert.deepEqual(offeredMechanisms(facts(), client({ certifiedUser: 'alice' })), MECHANISMS)
})

test('offers nothing in clear, but where the operator has said so', () => {
  const clear = client({ secure: false, certifiedUser: 'alice' })
  assert.deepEqual(offeredMechanisms(facts(), clear), [])
  assert.equal(mayAuthenticate(facts(), false), false)
  assert.deepEqual(offeredMechanisms(facts({ allowPlaintextAuth: true }), clear), MECHANISMS)
})

test('takes a password in a command where it takes PLAIN', () => {
  assert.equal(mayUseLogin(facts(), client()), true)
  assert.equal(mayUseLogin(facts(), client({ secure: false })), false)
  assert.equal(mayUseLogin(facts({ mechanisms: ['LOGIN', 'EXTERNAL'] }), client({ certifiedUser: 'alice' })), false)
})

test('starts TLS once, where it is offered', () => {
  assert.equal(canStartTls(facts(), false), true)
  assert.equal(canStartTls(facts(), true), false)
  assert.equal(canStartTls(facts({ startTlsOffered: false }), false), false)
})

test('offers mechanisms in the order of the listener', () => {
  const mechanisms = ['SCRAM-SHA-1', 'PLAIN'] as const
  assert.deepEqual(offeredMechanisms(facts({ mechanisms }), client()), mechanisms)
})

test('imap announces LITERAL+ in place of LITERAL-', () => {
  const words = imap.clientCapability(facts({ announced: ['LITERAL+', 'IDLE'] }), client()).split(' ')
  assert.ok(words.includes('LITERAL+') && !words.includes('LITERAL-') && words.includes('IDLE'))
})

test('imap announces to each kind of client what it may use, also where another kind has come before it', () => {
  const [announced, mechanisms] = [['IDLE'], [...MECHANISMS]]
  const clients = [
    client(),
    client({ secure: false }),
    client({ certifiedUser: 'alice' }),
    client({ secure: false, certifiedUser: 'alice' }),
  ]
  const listeners = [true, false].flatMap((startTlsOffered) =>
    [true, false].map((allowPlaintextAuth) => ({ startTlsOffered, allowPlaintextAuth })),
  )
  for (const one of [...clients, ...clients])
    for (const listener of listeners)
      assert.equal(
        imap.clientCapability(facts({ ...listener, announced, mechanisms }), one),
        imap.clientCapability(facts({ ...listener, announced: ['IDLE'], mechanisms: [...MECHANISMS] }), one),
      )
  const fewer = imap.clientCapability(facts({ announced, mechanisms: ['PLAIN'] }), client())
  assert.deepEqual(fewer.match(/AUTH=\S+/g), ['AUTH=PLAIN'])
})

test('imap takes no longer word for IMAP4rev1 or LITERAL', () => {
  const own = 'IMAP4rev1 SASL-IR ID ENABLE'
  for (const word of ['XIMAP4rev1', 'IMAP4rev1x', 'xliteral+', 'literal+x', 'literal'])
    assert.match(
      imap.clientCapability(facts({ announced: [word] }), client()),
      new RegExp(`^${own} ${word.replace('+', '\\+')} `),
    )
  assert.match(imap.clientCapability(facts({ announced: ['literal-'] }), client()), new RegExp(`^${own} LITERAL- `))
})

test('imap finds LITERAL- in what implies it, once', () => {
  for (const [words, implied] of [
    [['IDLE'], []],
    [['LITERAL+'], ['LITERAL-']],
    [['IMAP4REV2'], ['LITERAL-']],
    [['LITERAL+', 'IMAP4REV2'], ['LITERAL-']],
    [['LITERAL-', 'LITERAL+'], []],
    [['LITERAL-', 'IMAP4REV2'], []],
  ] as const)
    assert.deepEqual(imap.withImplied(words), [...words, ...implied])
})

test('imap announces no literals on its own account', () => {
  assert.doesNotMatch(imap.clientCapability(facts({ announced: ['IDLE'] }), client()), /LITERAL/)
})

test('imap accepts the operator’s own list in any case', () => {
  const words = imap.clientCapability(facts({ announced: ['imap4REV1', 'IDLE'] }), client())
  assert.match(words, /^imap4REV1 IDLE AUTH=PLAIN /)
})

test('imap announces each word once', () => {
  const announced = ['ID', 'IDLE', 'IMAP4rev1', 'IDLE', 'AUTH=PLAIN', 'STARTTLS']
  const words = imap.clientCapability(facts({ announced }), client({ secure: false })).split(' ')
  assert.deepEqual(words, [...new Set(words)])
})

test('pop3 announces each line once', () => {
  const announced = ['PIPELINING', 'TOP', 'TOP', 'STLS']
  const lines = pop3.clientCapability(facts({ announced }), client({ secure: false }))
  assert.deepEqual(lines, [...new Set(lines)])
})

test('imap announces of a back end’s words those that speak of sessions', () => {
  const said =
    'IMAP4rev1 IMAP4rev2 IMAP4 SASL-IR LOGIN-REFERRALS MAILBOX-REFERRALS ID ENABLE IDLE LITERAL+ LITERAL- STARTTLS AUTH=PLAIN ' +
    'AUTH=X-OTHER LANGUAGE LOGINDISABLED UNAUTHENTICATE COMPRESS=DEFLATE AUTHENTICATE-X IDENTITY'
  assert.deepEqual(imap.announceable(said.split(' ')), [
    'IDLE',
    'LITERAL+',
    'LITERAL-',
    'COMPRESS=DEFLATE',
    'AUTHENTICATE-X',
    'IDENTITY',
  ])
  assert.deepEqual(imap.announceable(said.toLowerCase().split(' ')), [
    'idle',
    'literal+',
    'literal-',
    'compress=deflate',
    'authenticate-x',
    'identity',
  ])
})

test('pop3 announces of a back end’s lines those that speak of sessions', () => {
  const said = [
    ...[
      'CAPA',
      'TOP',
      'UIDL',
      'RESP-CODES',
      'PIPELINING',
      'AUTH-RESP-CODE',
      'STLS',
      'USER',
      'SASL PLAIN LOGIN',
      'APOP',
    ],
    ...[
      'IMPLEMENTATION Dovecot',
      'LOGIN-DELAY 5',
      'EXPIRE 60 USER',
      'LANG',
      'XCLIENT ADDR',
      'X-PROXY-TTL',
      'UTF8 USER',
      'SASLX',
    ],
  ]
  const announced = ['CAPA', 'TOP', 'UIDL', 'PIPELINING', 'EXPIRE 60 USER', 'UTF8 USER', 'SASLX']
  assert.deepEqual(pop3.announceable(said), announced)
})

test('both find mechanisms by name, in any case, in the order of offering', () => {
  const want = ['PLAIN', 'XOAUTH2', 'SCRAM-SHA-256']
  assert.deepEqual(
    imap.mechanismsIn(['auth=scram-sha-256', 'AUTH=XOAUTH2', 'AUTH=PLAIN', 'AUTH=CRAM-MD5', 'LOGIN', 'OAUTHBEARER']),
    want,
  )
  assert.deepEqual(
    pop3.mechanismsIn(['TOP', 'Sasl SCRAM-SHA-256 xoauth2 CRAM-MD5', 'SASL PLAIN', 'X-SASL LOGIN']),
    want,
  )
})

test('both take -PLUS for another mechanism', () => {
  assert.deepEqual(imap.mechanismsIn(['AUTH=SCRAM-SHA-1-PLUS']), [])
  assert.deepEqual(pop3.mechanismsIn(['SASL SCRAM-SHA-256-PLUS']), [])
})

test('both find no mechanism where none is announced', () => {
  for (const protocol of Object.values(protocols)) assert.deepEqual(protocol.mechanismsIn([]), [])
  assert.deepEqual(pop3.mechanismsIn(['SASL', 'USER']), [])
})

test('imap withholds what leads past mailmux, in any case and however spaced', () => {
  assert.equal(
    imap.parseSessionCapability('IMAP4rev1  Unauthenticate IDLE login-referrals MAILBOX-REFERRALS ').words,
    'IMAP4rev1 IDLE',
  )
  assert.equal(imap.parseSessionCapability('STARTTLS LOGINDISABLED').words, '')
  assert.equal(
    imap.parseSessionCapability('IMAP4rev1 AUTH=PLAIN SASL-IR ID ENABLE').words,
    'IMAP4rev1 AUTH=PLAIN SASL-IR ID ENABLE',
  )
})

test('imap sees UNAUTHENTICATE as a word and not within one', () => {
  assert.equal(imap.parseSessionCapability('IMAP4rev1 unauthenticate').unauthenticate, true)
  assert.equal(imap.parseSessionCapability('IMAP4rev1 X-UNAUTHENTICATE UNAUTHENTICATED').unauthenticate, false)
  assert.equal(imap.parseSessionCapability('').unauthenticate, false)
})

test('imap reads a back end’s capabilities', () => {
  const capability = imap.parseBackendCapability('imap4REV2 id sasl-ir starttls auth=xoauth2 LoginDisabled')
  assert.deepEqual(
    { ...capability, words: undefined },
    {
      words: undefined,
      canStartTls: true,
      saslIr: true,
      id: true,
      mechanisms: ['XOAUTH2'],
      login: false,
      nonSyncLiterals: true,
    },
  )
  for (const words of ['', 'IMAP2', 'IMAP4 AUTH=PLAIN', 'XIMAP4rev1'])
    assert.equal(imap.parseBackendCapability(words), undefined)
})

test('pop3 reads a back end’s capabilities, and that there are none', () => {
  assert.deepEqual(pop3.parseBackendCapability(['stls', 'SASL PLAIN'], true), {
    told: true,
    lines: ['stls', 'SASL PLAIN'],
    canStartTls: true,
    proxyTtl: false,
    mechanisms: ['PLAIN'],
  })
  assert.deepEqual(pop3.parseBackendCapability([], false), {
    told: false,
    lines: [],
    canStartTls: false,
    proxyTtl: false,
    mechanisms: [],
  })
})

test('imap withholds compression from a session that must be looked at, and from no other', () => {
  assert.equal(imap.parseSessionCapability('IMAP4rev1 COMPRESS=DEFLATE UNAUTHENTICATE IDLE').words, 'IMAP4rev1 IDLE')
  assert.equal(imap.parseSessionCapability('IMAP4rev1 compress=deflate unauthenticate').words, 'IMAP4rev1')
  assert.equal(imap.parseSessionCapability('IMAP4rev1 COMPRESS=DEFLATE').words, 'IMAP4rev1 COMPRESS=DEFLATE')
  assert.equal(imap.parseSessionCapability('UNAUTHENTICATE X-COMPRESS=Y COMPRESS').words, 'X-COMPRESS=Y COMPRESS')
})

test('imap leaves the operator’s own list as it is, and adds what follows from TLS', () => {
  const announced = ['IMAP4rev1', 'IDLE']
  const mechanisms = ['PLAIN'] as const
  assert.equal(imap.clientCapability(facts({ announced, mechanisms }), client()), 'IMAP4rev1 IDLE AUTH=PLAIN')
  assert.equal(
    imap.clientCapability(facts({ announced, mechanisms }), client({ secure: false })),
    'IMAP4rev1 IDLE STARTTLS LOGINDISABLED',
  )
})

test('pop3 splits SASL into mechanisms, and drops the arguments of UTF8', () => {
  assert.deepEqual(pop3.splitCapability('SASL PLAIN XOAUTH2'), ['SASL PLAIN', 'SASL XOAUTH2'])
  assert.deepEqual(pop3.splitCapability('sasl'), [])
  assert.deepEqual(pop3.splitCapability('utf8 USER'), ['UTF8'])
  assert.deepEqual(pop3.splitCapability('EXPIRE 60 USER'), ['EXPIRE 60 USER'])
})
