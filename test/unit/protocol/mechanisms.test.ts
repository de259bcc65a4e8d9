/** What each SASL mechanism makes of a client's messages: a user and a proof, or why there is none. One table, without a connection. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MechanismName } from '../../../src/config/settings.ts'
import { asOctets, type Octets } from '../../../src/octets.ts'
import { encodePlain, runMechanism, type SaslOutcome } from '../../../src/protocol/sasl.ts'
import { Secret } from '../../../src/secret.ts'

const base64 = (octets: string): string => Buffer.from(octets, 'latin1').toString('base64')

/** @param lines of the client; the first is the initial response unless `asks` */
async function run(
  mechanism: MechanismName,
  lines: readonly string[],
  { asks = false, certifiedUser }: { asks?: boolean; certifiedUser?: string } = {},
): Promise<{ outcome: SaslOutcome; challenges: string[] }> {
  const rest = [...lines]
  const challenges: string[] = []
  const ask = (challenge: string): Promise<string> => {
    challenges.push(challenge)
    const line = rest.shift()
    return line === undefined ? Promise.reject(new Error('asked too often')) : Promise.resolve(line)
  }
  const user = certifiedUser === undefined ? undefined : asOctets(certifiedUser)
  const outcome = await runMechanism(mechanism, { initial: asks ? undefined : rest.shift(), ask, certifiedUser: user })
  assert.deepEqual(rest, [], 'every line was read')
  return { outcome, challenges }
}

/** The user, and for a password what it proves; or the word for why there is none. */
function show(outcome: SaslOutcome): string {
  if (typeof outcome === 'string') return outcome
  const { user, credentials } = outcome
  if (credentials.kind !== 'password') return `${credentials.kind}: ${user}`
  return `${user} by ${credentials.authcid}/${credentials.password.reveal()}`
}

const OAUTH = '\x01auth=Bearer t\x01\x01'

/** Messages, decoded, and what comes of them. */
const MESSAGES: Record<Exclude<MechanismName, 'LOGIN' | 'EXTERNAL'>, readonly [message: string, outcome: string][]> = {
  PLAIN: [
    ['\0alice\0secret', 'alice by alice/secret'],
    ['bob\0alice\0secret', 'bob by alice/secret'],
    ['alice\0alice\0 ', 'alice by alice/ '],
    ['\0al\xefce\0p\xe4ss', 'al\xefce by al\xefce/p\xe4ss'],
    ['\0\0secret', 'empty'],
    ['bob\0\0secret', 'empty'],
    ['\0alice\0', 'empty'],
    ['', 'malformed'],
    ['\0', 'malformed'],
    ['alice\0secret', 'malformed'],
    ['\0alice\0secret\0', 'malformed'],
    ['\0al\nice\0secret', 'malformed'],
    ['\0alice\0sec\x7fret', 'malformed'],
    ['bo\rb\0alice\0secret', 'malformed'],
  ],
  XOAUTH2: [
    [`user=alice${OAUTH}`, 'relayed: alice'],
    [`USER=alice${OAUTH.replace('auth', 'AUTH')}`, 'relayed: alice'],
    ['user=a,=b\x01auth=x\x01\x01', 'relayed: a,=b'],
    [`user=${OAUTH}`, 'empty'],
    [`user=al\0ice${OAUTH}`, 'malformed'],
    [`x user=alice${OAUTH}`, 'malformed'],
    [`user=alice${OAUTH}x`, 'malformed'],
    ['user=alice\x01auth=\x01\x01', 'malformed'],
    ['user=alice\x01auth=x\x01', 'malformed'],
    ['user=alice\x01\x01', 'malformed'],
    ['user=alice\x01auth=x\x01y=z\x01\x01', 'malformed'],
    ['', 'malformed'],
  ],
  OAUTHBEARER: [
    [`n,a=alice,${OAUTH}`, 'relayed: alice'],
    [`y,a=alice,\x01host=x\x01port=1${OAUTH}`, 'relayed: alice'],
    [`n,a=a=2Cb=3Dc,${OAUTH}`, 'relayed: a,b=c'],
    ['n,a=alice,\x01\x01', 'relayed: alice'],
    [`n,a=,${OAUTH}`, 'empty'],
    [`n,,${OAUTH}`, 'malformed'],
    [`p=x,a=alice,${OAUTH}`, 'malformed'],
    [`nn,a=alice,${OAUTH}`, 'malformed'],
    [`n,a=a=2cb,${OAUTH}`, 'malformed'],
    [`n,a=a=,${OAUTH}`, 'malformed'],
    [`n,a=a,b,${OAUTH}`, 'malformed'],
    [`n,a=al\x02ice,${OAUTH}`, 'malformed'],
    [`n,a=alice,${OAUTH}x`, 'malformed'],
    ['n,a=alice,\x01', 'malformed'],
    ['n,a=alice,\x01\x01\x01', 'malformed'],
    ['n,a=alice', 'malformed'],
  ],
  'SCRAM-SHA-1': [
    ['n,,n=alice,r=abc', 'relayed: alice'],
    ['y,,n=alice,r=~!+-', 'relayed: alice'],
    ['n,a=bob,n=alice,r=abc', 'relayed: bob'],
    ['n,,n=a=2Cb=3Dc,r=x', 'relayed: a,b=c'],
    ['n,a=b=2C,n=alice,r=x', 'relayed: b,'],
    ['n,,n=alice,r=x,y=1,Z=', 'relayed: alice'],
    ['n,,n=,r=x', 'empty'],
    ['n,a=bob,n=,r=x', 'empty'],
    ['p=tls-unique,,n=alice,r=x', 'malformed'],
    ['n,a=,n=alice,r=x', 'malformed'],
    ['n,n=alice,r=x', 'malformed'],
    ['n,,n=alice,r=', 'malformed'],
    ['n,,n=alice', 'malformed'],
    ['n,,n=alice,r=a b', 'malformed'],
    ['n,,n=alice,r=a\x7f', 'malformed'],
    ['n,,n=alice,r=x,', 'malformed'],
    ['n,,n=alice,r=x,yy=1', 'malformed'],
    ['n,,n=alice,r=x,1=1', 'malformed'],
    ['n,,m=x,n=alice,r=x', 'malformed'],
    ['n,,n=a=2,r=x', 'malformed'],
    ['n,a=b=,n=alice,r=x', 'malformed'],
    ['n,a=b=,n=,r=x', 'empty'],
    ['n,,n=al\0ice,r=x', 'malformed'],
    ['n,a=bob,n=al\0ice,r=x', 'malformed'],
    ['n,a=b\nob,n=alice,r=x', 'malformed'],
    ['xn,,n=alice,r=x', 'malformed'],
    ['', 'malformed'],
  ],
  'SCRAM-SHA-256': [
    ['n,,n=alice,r=abc', 'relayed: alice'],
    ['n,,n=,r=abc', 'empty'],
  ],
}

for (const [mechanism, messages] of Object.entries(MESSAGES) as [MechanismName, (typeof MESSAGES)['PLAIN']][]) {
  for (const [message, outcome] of messages)
    test(`${mechanism} takes ${JSON.stringify(message)} for ${outcome}`, async () => {
      const initial = await run(mechanism, [message === '' ? '=' : base64(message)])
      assert.deepEqual([show(initial.outcome), initial.challenges], [outcome, []])
      const asked = await run(mechanism, [base64(message)], { asks: true })
      assert.deepEqual([show(asked.outcome), asked.challenges], [outcome, ['']])
    })

  test(`${mechanism} is cancelled by *, and takes no line that is not base64`, async () => {
    for (const asks of [false, true]) {
      assert.equal((await run(mechanism, ['*'], { asks })).outcome, 'cancelled')
      for (const line of ['**', '!', 'YQ', '=='])
        assert.equal((await run(mechanism, [line], { asks })).outcome, 'malformed', line)
    }
  })
}

const USERNAME = base64('Username:')
const PASSWORD = base64('Password:')

for (const [lines, outcome] of [
  [['alice', 'secret'], 'alice by alice/secret'],
  [['', 'secret'], 'empty'],
  [['alice', ''], 'empty'],
  [['al\nice', 'secret'], 'malformed'],
  [['alice', 'sec\0ret'], 'malformed'],
] as const)
  test(`LOGIN takes ${JSON.stringify(lines)} for ${outcome}`, async () => {
    const [user, password] = lines
    const asked = await run('LOGIN', [base64(user), base64(password)], { asks: true })
    assert.deepEqual([show(asked.outcome), asked.challenges], [outcome, [USERNAME, PASSWORD]])
    const initial = await run('LOGIN', [user === '' ? '=' : base64(user), base64(password)])
    assert.deepEqual([show(initial.outcome), initial.challenges], [outcome, [PASSWORD]])
  })

test('LOGIN is cancelled at either question, and takes no line that is not base64', async () => {
  for (const [line, outcome] of [
    ['*', 'cancelled'],
    ['!', 'malformed'],
  ] as const) {
    assert.equal((await run('LOGIN', [line], { asks: true })).outcome, outcome)
    assert.equal((await run('LOGIN', [line])).outcome, outcome)
    assert.equal((await run('LOGIN', [base64('alice'), line])).outcome, outcome)
  }
})

for (const [authzid, certifiedUser, outcome] of [
  ['', 'alice', 'certificate: alice'],
  ['alice', 'alice', 'certificate: alice'],
  ['bob', 'alice', 'not-authorized'],
  ['', undefined, 'not-authorized'],
  ['alice', undefined, 'not-authorized'],
] as const)
  test(`EXTERNAL for "${authzid}" by the certificate of ${certifiedUser ?? 'no user'}: ${outcome}`, async () => {
    const options = certifiedUser === undefined ? {} : { certifiedUser }
    assert.equal(show((await run('EXTERNAL', [authzid === '' ? '=' : base64(authzid)], options)).outcome), outcome)
    assert.equal(show((await run('EXTERNAL', [base64(authzid)], { ...options, asks: true })).outcome), outcome)
  })

/** Puts another name into a client's first message. */
async function rewrite(mechanism: MechanismName, message: string, user: string): Promise<string | undefined> {
  const { outcome } = await run(mechanism, [base64(message)])
  assert.ok(typeof outcome === 'object' && outcome.credentials.kind === 'relayed')
  assert.equal(outcome.credentials.mechanism, mechanism)
  return outcome.credentials.firstMessage(asOctets(user))?.reveal()
}

for (const [mechanism, message, user, written] of [
  ['XOAUTH2', `USER=alice${OAUTH}`, 'b,=', `user=b,=${OAUTH}`],
  ['OAUTHBEARER', `y,a=alice,\x01host=x${OAUTH}`, 'b,=c,=', `n,a=b=2C=3Dc=2C=3D,\x01host=x${OAUTH}`],
  ['SCRAM-SHA-1', 'n,,n=alice,r=x', 'alice', 'n,,n=alice,r=x'],
  ['SCRAM-SHA-1', 'n,,n=AliCE@Z,r=x', 'aLIce@z', 'n,,n=AliCE@Z,r=x'],
  ['SCRAM-SHA-1', 'n,,n=alice,r=x', 'bob', undefined],
  ['SCRAM-SHA-1', 'n,a=bob,n=alice,r=x', 'bob', 'n,a=bob,n=alice,r=x'],
  ['SCRAM-SHA-1', 'n,a=bob,n=alice,r=x', 'alice', undefined],
  // Octets beyond ASCII have no case of their own.
  ['SCRAM-SHA-1', 'n,,n=\xc4,r=x', '\xe4', undefined],
] as const)
  test(`${mechanism} says that ${JSON.stringify(message)} is of ${JSON.stringify(user)}`, async () => {
    assert.equal(await rewrite(mechanism, message, user), written)
  })

const FIRST = { XOAUTH2: `user=alice${OAUTH}`, 'SCRAM-SHA-1': 'n,,n=alice,r=x' } as const

for (const [mechanism, line, handedOn] of [
  ['SCRAM-SHA-1', base64('c=biws'), true],
  ['SCRAM-SHA-1', '', true],
  ['SCRAM-SHA-1', '*', true],
  ['SCRAM-SHA-1', 'no base64', false],
  ['SCRAM-SHA-1', '=', false],
  ['SCRAM-SHA-1', base64('x'.repeat(4000)), true],
  ['SCRAM-SHA-1', base64('x'.repeat(4001)), false],
  ['XOAUTH2', base64('x'.repeat(48 * 1024)), true],
  ['XOAUTH2', base64('x'.repeat(48 * 1024 + 1)), false],
] as const)
  test(`${mechanism} ${handedOn ? 'hands on' : 'cancels at'} a line of ${line.length}: ${line.slice(0, 12)}`, async () => {
    const asked: string[] = []
    const ask = (challenge: string): Promise<string> => {
      asked.push(challenge)
      return Promise.resolve(line)
    }
    const outcome = await runMechanism(mechanism, { initial: base64(FIRST[mechanism]), ask, certifiedUser: undefined })
    assert.ok(typeof outcome === 'object' && outcome.credentials.kind === 'relayed')
    assert.equal(await outcome.credentials.converse('Y2g='), handedOn ? line : '*')
    assert.deepEqual(asked, ['Y2g='])
  })

test('a message of PLAIN for a back end has an authzid only where it says something', () => {
  const password: Secret<Octets> = new Secret(asOctets('p\xe4ss'))
  const authcid = asOctets('alice')
  assert.equal(encodePlain(authcid, { authcid, password }), base64('\0alice\0p\xe4ss'))
  assert.equal(encodePlain(asOctets('bob'), { authcid, password }), base64('bob\0alice\0p\xe4ss'))
})
