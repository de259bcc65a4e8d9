/** The answers of a back end to a login: the reply to the client, the log line, and the parts of an OK that are passed on. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MuxError } from '../../../src/errors.ts'
import { asOctets } from '../../../src/octets.ts'
import { protocols } from '../../../src/protocol/protocols.ts'
import type { BackendLogin, Refusal } from '../../../src/protocol/protocol.ts'
import type { ProtocolName } from '../../../src/protocol/registry.ts'
import { Secret } from '../../../src/secret.ts'
import { LinesWire } from '../../support/lines-wire.ts'
import { identity, READY, replay } from '../../support/replay-lines.ts'

/** Answers of the kind NO, the refusal for the client and the detail for the log. */
const REFUSALS: Record<ProtocolName, readonly [says: string, refusal: Refusal, detail: string][]> = {
  imap: [
    ['A NO wrong', { reason: 'authentication-failed' }, 'NO wrong'],
    ['A NO [AUTHENTICATIONFAILED] x', { reason: 'authentication-failed' }, 'NO [AUTHENTICATIONFAILED] x'],
    ['A NO [X-NEW] x', { reason: 'authentication-failed' }, 'NO [X-NEW] x'],
    ['A BAD x', { reason: 'misconfigured' }, 'BAD x'],
    ['A BAD [LIMIT] x', { reason: 'misconfigured' }, 'BAD [LIMIT] x'],
    ...['SERVERBUG', 'CLIENTBUG', 'CORRUPTION', 'CANNOT', 'PRIVACYREQUIRED', 'REFERRAL'].map(
      (code): [string, Refusal, string] => [`A NO [${code}] x`, { reason: 'misconfigured' }, `NO [${code}] x`],
    ),
    ...['EXPIRED', 'CONTACTADMIN', 'LIMIT', 'ALERT', 'OVERQUOTA', 'INUSE', 'THROTTLED', 'WEBALERT'].map(
      (code): [string, Refusal, string] => [
        `A NO [${code}] x`,
        { reason: 'passed-on', code, text: 'x' },
        `NO [${code}] x`,
      ],
    ),
    [
      'A NO [WEBALERT https://x/ y] x',
      { reason: 'passed-on', code: 'WEBALERT https://x/ y', text: 'x' },
      'NO [WEBALERT] x',
    ],
    ['A NO [AUTHORIZATIONFAILED] x', { reason: 'authorization-failed' }, 'NO [AUTHORIZATIONFAILED] x'],
    ['A NO [NOPERM] x', { reason: 'authorization-failed' }, 'NO [NOPERM] x'],
    [
      'A NO Your mailbox is already locked',
      { reason: 'passed-on', code: 'INUSE', text: 'The mailbox is in use by another session.' },
      'NO Your mailbox is already locked',
    ],
    [
      'A NO Too many requests',
      { reason: 'passed-on', code: 'LIMIT', text: 'Too many connections.' },
      'NO Too many requests',
    ],
    ['A NO Goodbye', { reason: 'authentication-failed' }, 'NO Goodbye'],
    ['A NO Maildir invalid', { reason: 'unavailable' }, 'NO Maildir invalid'],
    ['A NO STARTTLS is required', { reason: 'misconfigured' }, 'NO STARTTLS is required'],
    ['A NO pop access not enabled for account', { reason: 'disabled' }, 'NO pop access not enabled for account'],
    // A code of its own says more than the words.
    [
      'A NO [AUTHENTICATIONFAILED] Goodbye, Maildir invalid',
      { reason: 'authentication-failed' },
      'NO [AUTHENTICATIONFAILED] Goodbye, Maildir invalid',
    ],
    [
      'A NO [LIMIT] Maildir invalid',
      { reason: 'passed-on', code: 'LIMIT', text: 'Maildir invalid' },
      'NO [LIMIT] Maildir invalid',
    ],
    ['A NO [TEMPFAIL] Maildir invalid', { reason: 'unavailable' }, 'NO [TEMPFAIL] Maildir invalid'],
    ['* BYE Maildir invalid', { reason: 'unavailable' }, 'NO Maildir invalid'],
  ],
  pop3: [
    ['-ERR wrong', { reason: 'authentication-failed' }, '-ERR wrong'],
    ['-ERR [AUTH] x', { reason: 'authentication-failed' }, '-ERR [AUTH] x'],
    ['-ERR [X-NEW] x', { reason: 'authentication-failed' }, '-ERR [X-NEW] x'],
    ['-ERR [SYS/PERM] x', { reason: 'misconfigured' }, '-ERR [SYS/PERM] x'],
    ['-ERR [REFERRAL/x] x', { reason: 'misconfigured' }, '-ERR [REFERRAL/X] x'],
    ...['IN-USE', 'LOGIN-DELAY', 'LIMIT', 'ALERT', 'THROTTLED', 'WEBALERT'].map((code): [string, Refusal, string] => [
      `-ERR [${code}] x`,
      { reason: 'passed-on', code, text: 'x' },
      `-ERR [${code}] x`,
    ]),
    [
      '-ERR Your mailbox is already locked',
      { reason: 'passed-on', code: 'IN-USE', text: 'The mailbox is in use by another session.' },
      '-ERR Your mailbox is already locked',
    ],
    [
      '-ERR Too many requests',
      { reason: 'passed-on', code: 'IN-USE', text: 'Too many connections.' },
      '-ERR Too many requests',
    ],
    ['-ERR Goodbye', { reason: 'authentication-failed' }, '-ERR Goodbye'],
    ['-ERR Maildir invalid', { reason: 'unavailable' }, '-ERR Maildir invalid'],
    ['-ERR STLS is required', { reason: 'misconfigured' }, '-ERR STLS is required'],
    ['-ERR pop access not enabled for account', { reason: 'disabled' }, '-ERR pop access not enabled for account'],
    ['-ERR [AUTH] Maildir invalid', { reason: 'authentication-failed' }, '-ERR [AUTH] Maildir invalid'],
    ['-ERR [SYS/TEMP] Maildir invalid', { reason: 'unavailable' }, '-ERR [SYS/TEMP] Maildir invalid'],
    [
      '-ERR [IN-USE] Maildir invalid',
      { reason: 'passed-on', code: 'IN-USE', text: 'Maildir invalid' },
      '-ERR [IN-USE] Maildir invalid',
    ],
    [
      '-ERR [LIMIT] Temporary authentication failure',
      { reason: 'passed-on', code: 'LIMIT', text: 'Temporary authentication failure' },
      '-ERR [LIMIT] Temporary authentication failure',
    ],
  ],
  managesieve: [
    ['NO "wrong"', { reason: 'authentication-failed' }, 'NO wrong'],
    ['NO (X-NEW) "x"', { reason: 'authentication-failed' }, 'NO (X-NEW) x'],
    ...['ENCRYPT-NEEDED', 'AUTH-TOO-WEAK', 'REFERRAL', 'TRYLATER/NORETRY'].map((code): [string, Refusal, string] => [
      `NO (${code}) "x"`,
      { reason: 'misconfigured' },
      `NO (${code}) x`,
    ]),
    ...['LIMIT', 'LIMIT/CONNECTIONS', 'QUOTA', 'QUOTA/X'].map((code): [string, Refusal, string] => [
      `NO (${code}) "x"`,
      { reason: 'passed-on', code, text: 'x' },
      `NO (${code}) x`,
    ]),
    ['NO "Your mailbox is already locked"', { reason: 'unavailable' }, 'NO Your mailbox is already locked'],
    [
      'NO "Too many requests"',
      { reason: 'passed-on', code: 'LIMIT/CONNECTIONS', text: 'Too many connections.' },
      'NO Too many requests',
    ],
    ['NO "Goodbye"', { reason: 'authentication-failed' }, 'NO Goodbye'],
    ['NO "Maildir invalid"', { reason: 'unavailable' }, 'NO Maildir invalid'],
    ['NO "STARTTLS is required"', { reason: 'misconfigured' }, 'NO STARTTLS is required'],
    ['NO "pop access not enabled for account"', { reason: 'disabled' }, 'NO pop access not enabled for account'],
    ['NO (X) "Maildir invalid"', { reason: 'authentication-failed' }, 'NO (X) Maildir invalid'],
  ],
}

const NAMES = Object.keys(READY) as ProtocolName[]

for (const name of NAMES) {
  for (const [says, refusal, detail] of REFUSALS[name])
    test(`${name}: what is made of ${says}`, async () => {
      const { answer, told } = await replay(name, { says: [...READY[name], says] })
      assert.deepEqual(answer, { accepted: false, refusal, detail: `the back end said ${detail}` })
      assert.equal(told, 1, 'the login says once that it tells of the user')
    })

  for (const [startTls, tls] of [
    [false, []],
    [true, ['TLS']],
  ] as const)
    test(`${name}: asks for capabilities ${startTls ? 'after TLS' : 'in clear'}, and takes its leave`, async () => {
      const begun = { imap: 'S OK', pop3: '+OK', managesieve: 'OK' }[name]
      const again = {
        imap: ['* CAPABILITY IMAP4rev1 IDLE LITERAL+', 'C OK'],
        pop3: ['+OK', 'TOP', 'SASL PLAIN LOGIN', 'utf8 USER', '.'],
        managesieve: ['"SIEVE" "a b"', '"SASL" "PLAIN"', 'OK'],
      }[name]
      const wire = new LinesWire(startTls ? [...READY[name], begun, ...again] : READY[name])
      const words = await protocols[name].askCapabilities(wire, startTls)
      const inClear = {
        imap: ['IMAP4REV1', 'SASL-IR', 'STARTTLS', 'AUTH=PLAIN'],
        pop3: ['STLS', 'SASL PLAIN'],
        managesieve: ['SASL PLAIN'],
      }[name]
      const inTls = {
        imap: ['IMAP4REV1', 'IDLE', 'LITERAL+', 'LITERAL-'],
        pop3: ['TOP', 'SASL PLAIN', 'SASL LOGIN', 'UTF8'],
        managesieve: ['SIEVE a', 'SIEVE b', 'SASL PLAIN'],
      }[name]
      assert.deepEqual(words, startTls ? inTls : inClear)
      assert.equal(wire.written.at(-1), protocols[name].leave)
      assert.deepEqual(
        wire.written.filter((text) => text === '= TLS'),
        tls.map((word) => `= ${word}`),
      )
      assert.ok(wire.limits.every((limit) => limit === (name === 'pop3' ? 2048 : 8192)))
    })
}

const cancelled = (offer: string): Partial<BackendLogin> => ({
  credentials: {
    kind: 'relayed',
    mechanism: 'SCRAM-SHA-1',
    firstMessage: () => (offer === '' ? undefined : new Secret(asOctets(offer))),
    converse: () => Promise.resolve('*'),
  },
})

const SCRAM: Record<ProtocolName, { offers: readonly string[]; asks: string; no: string; lacks: string }> = {
  imap: {
    offers: ['* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=SCRAM-SHA-1] x'],
    asks: '+ YQ==',
    no: 'A BAD x',
    lacks: 'AUTH=SCRAM-SHA-1',
  },
  pop3: {
    offers: ['+OK x', '+OK', 'SASL SCRAM-SHA-1', '.'],
    asks: '+ YQ==',
    no: '-ERR x',
    lacks: 'SASL SCRAM-SHA-1',
  },
  managesieve: { offers: ['"SASL" "SCRAM-SHA-1"', 'OK'], asks: '"YQ=="', no: 'NO "x"', lacks: 'SASL SCRAM-SHA-1' },
}

for (const name of NAMES) {
  const { offers, asks, no, lacks } = SCRAM[name]
  test(`${name}: a login that the client gives up is no refusal of the back end`, async () => {
    const { answer, wire } = await replay(name, { login: cancelled('n,,n=a,r=b'), says: [...offers, asks, no] })
    assert.deepEqual(answer, { accepted: false, refusal: { reason: 'cancelled' }, detail: 'the client gave up' })
    assert.equal(wire.written.at(-1), name === 'managesieve' ? '"*"\r\n' : '*\r\n')
  })

  test(`${name}: a login that the back end accepts though the client has given it up is one`, async () => {
    const yes = { imap: 'A OK [CAPABILITY IMAP4rev1] in', pop3: '+OK in', managesieve: 'OK "in"' }[name]
    const { answer } = await replay(name, { login: cancelled('n,,n=a,r=b'), says: [...offers, asks, yes] })
    assert.ok('accepted' in answer && answer.accepted)
    assert.equal(answer.text, 'in')
  })

  test(`${name}: a mechanism that the back end lacks, and one that cannot carry the name`, async () => {
    const { answer: lacking } = await replay(name, { login: cancelled('n,,n=a,r=b'), says: READY[name] })
    assert.deepEqual(lacking, new MuxError('backend-no-mechanism', `the back end does not offer ${lacks}`))
    const { answer: unable } = await replay(name, { login: cancelled(''), says: offers })
    const message = 'SCRAM-SHA-1 cannot carry another name than the client’s own'
    assert.deepEqual(unable, new MuxError('backend-no-mechanism', message))
  })
}

/** What is handed to the client of an OK. */
const ACCEPTED: Record<ProtocolName, readonly [says: readonly string[], answer: object][]> = {
  imap: [
    [
      ['* 1 X "* ID y"', 'A OK [CAPABILITY IMAP4rev1 ID]'],
      {
        untagged: ['* 1 X "* ID y"'],
        capability: { words: 'IMAP4rev1 ID', where: 'answer' },
        code: 'CAPABILITY IMAP4rev1 ID',
        text: 'Logged in',
        mode: 'observe',
      },
    ],
    [
      ['A OK [CAPABILITY IMAP4rev1]'],
      {
        untagged: [],
        capability: { words: 'IMAP4rev1', where: 'answer' },
        code: 'CAPABILITY IMAP4rev1',
        text: 'Logged in',
        mode: 'observe',
      },
    ],
    [
      ['* CAPABILITY IMAP4rev1 IDLE', 'A OK [REFERRAL imap://x/] x'],
      {
        untagged: [],
        capability: { words: 'IMAP4rev1 IDLE', where: 'beside' },
        code: undefined,
        text: 'x',
        mode: 'observe',
      },
    ],
    [
      ['* 1 X {3}', 'abc', 'A OK [X-Y z] x', 'C NO [X y] z'],
      {
        untagged: ['* 1 X {3}\r\nabc', '* NO [X y] z'],
        capability: undefined,
        code: 'X-Y z',
        text: 'x',
        mode: 'guard',
      },
    ],
    [
      ['* OK [CAPABILITY IMAP4rev1 UNAUTHENTICATE] y', 'A OK x'],
      {
        untagged: [],
        capability: { words: 'IMAP4rev1', where: 'beside' },
        code: undefined,
        text: 'x',
        mode: 'guard',
      },
    ],
  ],
  pop3: [
    [['+OK'], { untagged: [], capability: undefined, code: undefined, text: 'Logged in.', mode: 'observe' }],
    [['+OK [X] y'], { untagged: [], capability: undefined, code: undefined, text: '[X] y', mode: 'observe' }],
  ],
  managesieve: [
    [['OK'], { untagged: [], capability: undefined, code: undefined, text: 'Logged in.', mode: 'guard' }],
    [['OK (SASL "x") "y"'], { untagged: [], capability: undefined, code: 'SASL "x"', text: 'y', mode: 'guard' }],
    [['OK (SASL) "y"'], { untagged: [], capability: undefined, code: undefined, text: 'y', mode: 'guard' }],
    [['OK (X "x") "y"'], { untagged: [], capability: undefined, code: undefined, text: 'y', mode: 'guard' }],
  ],
}

for (const name of NAMES)
  for (const [says, expected] of ACCEPTED[name])
    test(`${name}: what is handed on of ${says.join(' / ')}`, async () => {
      const { answer } = await replay(name, { says: [...READY[name], ...says] })
      assert.ok('accepted' in answer && answer.accepted, JSON.stringify(answer))
      const { accepted, watch, ...rest } = answer
      assert.deepEqual({ ...rest, mode: watch.mode }, expected)
      assert.equal(accepted, true)
    })

for (const [name, offers, plain, ok] of [
  ['pop3', ['+OK [XCLIENT] x', '+OK', 'SASL PLAIN', '.'], ['+OK x', '+OK', 'SASL PLAIN', '.'], '+OK'],
  ['managesieve', ['"SASL" "PLAIN"', '"XCLIENT"', 'OK'], ['"SASL" "PLAIN"', 'OK'], 'OK'],
] as const)
  test(`${name}: sends the client identity in XCLIENT if the back end offers it and forwarding is on`, async () => {
    const commands = async (login: Partial<BackendLogin>, says: readonly string[]): Promise<string[]> => {
      const { wire } = await replay(name, { login, says: [...says, ok, ok] })
      return wire.written.map((text) => text.split(' ')[0] ?? '').filter((word) => word !== 'CAPA\r\n')
    }
    const login = name === 'pop3' ? 'AUTH' : 'AUTHENTICATE'
    assert.deepEqual(await commands({ identity }, offers), ['XCLIENT', login])
    assert.deepEqual(await commands({ identity }, plain), [login])
    assert.deepEqual(await commands({}, offers), [login])
  })

test('reads 64 capabilities of a back end of POP3 or ManageSieve', async () => {
  const many = Array<string>(63).fill('X')
  const pop3 = await replay('pop3', { says: ['+OK x', '+OK', ...many, 'SASL PLAIN', '.', '+OK in'] })
  assert.ok('accepted' in pop3.answer && pop3.answer.accepted)
  const sieve = await replay('managesieve', { says: [...many.map(() => '"X"'), '"SASL" "PLAIN"', 'OK', 'OK "in"'] })
  assert.ok('accepted' in sieve.answer && sieve.answer.accepted)
})

test('sends AUTH of POP3 in a line of up to 255 octets with the first message (RFC 5034 4)', async () => {
  const says = ['+OK x', '+OK', 'SASL XOAUTH2', '.', '+ ', '+OK in']
  for (const [bytes, lines] of [
    [180, 1],
    [181, 2],
  ] as const) {
    const credentials: BackendLogin['credentials'] = {
      kind: 'relayed',
      mechanism: 'XOAUTH2',
      firstMessage: () => new Secret(asOctets('x'.repeat(bytes))),
      converse: () => Promise.resolve('*'),
    }
    const { wire } = await replay('pop3', { login: { credentials }, says })
    const [, auth = '', next] = wire.written
    assert.equal(auth.length, lines === 1 ? 255 : 'AUTH XOAUTH2\r\n'.length)
    assert.equal(next, lines === 1 ? '*\r\n' : `${Buffer.from('x'.repeat(bytes)).toString('base64')}\r\n`)
  }
})
