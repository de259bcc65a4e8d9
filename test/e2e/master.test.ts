/** Master users: mailmux's own opens the mailbox for a client certificate (EXTERNAL), a client's own logs in as user*master. */
import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Authority, type Leaf, makeAuthority } from '../support/certificates.ts'
import { type Dovecot, markerSubject, startDovecot } from '../support/dovecot.ts'
import { type MailClient, type MailProtocol, openMailClient } from '../support/mail-client.ts'
import { type Mailmux, startMailmux, toBackend, type YamlMap } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { authenticate, findInLog, plainMessage, scramClient, type SaslAnswer } from '../support/sasl-client.ts'
import { openScene, type Scene } from '../support/scene.ts'
import type { PeerTls } from '../support/scripted-peer.ts'

const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']
const PASSWORD = 'secret'
const MASTER = 'mailmux-master'
const MASTER_SECRET = 'the-secret-of-the-master'

/** who lives where: `authzid` gets the user in the authzid of SASL PLAIN, `separator` as user*master, `ordinary` has no master */
const ALICE = 'alice@example.test'
const BOB = 'bob@example.test'
const CAROL = 'carol@example.test'
const HOMES = { [ALICE]: 'authzid', [BOB]: 'separator', [CAROL]: 'ordinary' }

/** names in forms that the store accepts, and their users by route */
const TYPED = ['CORP\\dora', 'emil corp.test']
const TYPED_USERS = ['dora@corp', 'emil@corp.test']

const REFUSED = { imap: /^NO \[AUTHORIZATIONFAILED\] /, pop3: /^-ERR \[AUTH\] / }
const NOT_OFFERED = { imap: /^NO \[CANNOT\] /, pop3: /^-ERR [^[]/ }
const MISCONFIGURED = { imap: /^NO \[SERVERBUG\] /, pop3: /^-ERR \[SYS\/PERM\] / }

let scene: Scene
let ca: string
let stores: Dovecot[]
let mailmux: Mailmux
/** ports of the listeners that let user*master through, by protocol */
const masterDoors: Record<string, number> = {}
/** ports of the listeners that ask for certificates, by protocol and by what they take the user from */
const doors: Record<string, number> = {}
/** a certificate of a client, by what it says */
let byName: Leaf
let byEmail: Leaf
let bobByName: Leaf
let carolByName: Leaf
let ofAnotherCa: Leaf
let nobodys: Leaf
let ofTwo: Leaf

before(async () => {
  scene = openScene()
  const [authority, clients, others] = await Promise.all(['servers', 'clients', 'others'].map(newAuthority))
  ca = authority!.ca
  const client = (issuer: Authority, name: string, ...names: string[]) =>
    issuer.issue(name, { usage: 'clientAuth', names: names.length > 0 ? names : ['DNS:client.example.test'] })
  byName = await client(clients!, ALICE)
  byEmail = await client(clients!, 'Alice Liddell', `email:${ALICE}`)
  bobByName = await client(clients!, BOB)
  carolByName = await client(clients!, CAROL)
  nobodys = await client(clients!, 'stranger@example.test')
  ofTwo = await client(clients!, 'Two People', `email:${ALICE}`, `email:${BOB}`)
  ofAnotherCa = await client(others!, ALICE, `email:${ALICE}`)

  const masters = join(scene.directory, 'masters')
  await writeFile(masters, `${MASTER}:{PLAIN}${MASTER_SECRET}\n`)
  const secretFile = join(scene.directory, 'master.secret')
  await writeFile(secretFile, `${MASTER_SECRET}\n`)
  const users = Object.fromEntries(Object.keys(HOMES).map((user) => [user, PASSWORD]))
  const passdb = `passdb {
  driver = passwd-file
  master = yes
  args = ${masters}
}
`
  const mechanisms = 'plain login scram-sha-256'
  stores = await Promise.all([
    startDovecot(scene, { mechanisms, name: 'authzid', users, extra: passdb }),
    startDovecot(scene, { mechanisms, name: 'separator', users, extra: `${passdb}auth_master_user_separator = *\n` }),
    startDovecot(scene, {
      mechanisms,
      name: 'ordinary',
      users: { ...users, ...Object.fromEntries(TYPED.map((user) => [user, PASSWORD])) },
      // Every character, both cases of letters; a file of users has no name with a backslash.
      extra: `auth_username_chars =
auth_username_format = %u
passdb {
  driver = static
  args = password=${PASSWORD}
}
`,
    }),
  ])
  const [authzid, separator, ordinary] = stores
  const listeners: YamlMap[] = []
  for (const protocol of PROTOCOLS) {
    const masterPort = await freePort()
    masterDoors[protocol] = masterPort
    listeners.push({
      name: `${protocol}-master`,
      protocol,
      listen: `127.0.0.1:${masterPort}`,
      tls: 'implicit',
      master_separator: '*',
      delimiters: '@\\ ',
    })
    for (const [kind, template] of [
      ['cn', '%{cn}'],
      ['email', '%{email}'],
    ] as const) {
      const port = await freePort()
      doors[`${protocol} ${kind}`] = port
      listeners.push({
        name: `${protocol}-${kind}`,
        protocol,
        listen: `127.0.0.1:${port}`,
        tls: kind === 'cn' ? 'implicit' : 'starttls',
        client_ca_file: 'clients/ca.pem',
        client_cert_user: template,
      })
    }
  }
  const master = { user: MASTER, password_file: secretFile }
  mailmux = await startMailmux(scene, {
    certificate: await authority!.issue('mailmux'),
    listeners,
    backends: {
      authzid: { ...toBackend(authzid!), master },
      separator: { ...toBackend(separator!), master: { ...master, separator: '*' } },
      ordinary: toBackend(ordinary!),
    },
    users: { ...HOMES, ...Object.fromEntries(TYPED_USERS.map((user) => [user, 'ordinary'])) },
  })
})
after(() => scene.close())

async function newAuthority(name: string): Promise<Authority> {
  const directory = join(scene.directory, name)
  await mkdir(directory)
  return makeAuthority(directory)
}

function open(protocol: MailProtocol, kind: 'cn' | 'email', shown?: Leaf): Promise<MailClient> {
  const own: PeerTls = shown === undefined ? {} : { cert: shown.cert, key: shown.key }
  const security = kind === 'cn' ? 'implicit' : 'starttls'
  const tls = { ca, servername: 'mail.example.test', ...own }
  return openMailClient(scene, protocol, doors[`${protocol} ${kind}`]!, security, tls)
}

async function offersExternal({ protocol, peer }: MailClient): Promise<boolean> {
  peer.send(protocol === 'imap' ? 'w CAPABILITY' : 'CAPA')
  const lines = await peer.expectUntil(protocol === 'imap' ? /^w OK/ : '.')
  return lines.some((line) => /\bEXTERNAL\b/.test(line))
}

async function arrives(client: MailClient, { accepted, answer }: SaslAnswer, user: keyof typeof HOMES): Promise<void> {
  assert.ok(accepted, answer)
  assert.deepEqual(await client.subjects(), [markerSubject(HOMES[user], user)])
  await client.quit()
}

for (const protocol of PROTOCOLS) {
  describe(`EXTERNAL by ${protocol}`, () => {
    test('takes the user from the common name, or from the e-mail address', async () => {
      for (const [kind, leaf] of [
        ['cn', byName],
        ['email', byEmail],
      ] as const) {
        const client = await open(protocol, kind, leaf)
        assert.equal(await offersExternal(client), true)
        await arrives(client, await authenticate(client, 'EXTERNAL', ''), ALICE)
      }
    })

    test('may come without an initial response, and name the user that it is', async () => {
      const asked = await open(protocol, 'cn', byName)
      await arrives(asked, await authenticate(asked, 'EXTERNAL', undefined, () => ''), ALICE)
      const named = await open(protocol, 'cn', byName)
      await arrives(named, await authenticate(named, 'EXTERNAL', ALICE), ALICE)
    })

    test('opens the mailbox as user*master where the store wants that', async () => {
      const client = await open(protocol, 'cn', bobByName)
      await arrives(client, await authenticate(client, 'EXTERNAL', ''), BOB)
    })

    test('is refused for another user than the certificate’s, who may then log in', async () => {
      const client = await open(protocol, 'cn', byName)
      const { answer } = await authenticate(client, 'EXTERNAL', BOB)
      assert.match(answer, REFUSED[protocol])
      await arrives(client, await authenticate(client, 'EXTERNAL', ''), ALICE)
    })

    test('is refused in no password’s words where the store has no master user', async () => {
      const client = await open(protocol, 'cn', carolByName)
      assert.match((await authenticate(client, 'EXTERNAL', '')).answer, MISCONFIGURED[protocol])
      await mailmux.waitForLog((line) => line['code'] === 'no-master' && line['user'] === CAROL, 'no master')
      const { accepted } = await client.login(CAROL, PASSWORD)
      assert.ok(accepted)
      await client.quit()
    })

    test('refuses a certified user without a route', async () => {
      const client = await open(protocol, 'cn', nobodys)
      assert.equal((await authenticate(client, 'EXTERNAL', '')).accepted, false)
      client.peer.destroy()
    })

    const nobodies: [string, 'cn' | 'email', () => Leaf | undefined][] = [
      ['no certificate', 'cn', () => undefined],
      ['a certificate of another CA', 'cn', () => ofAnotherCa],
      ['a certificate of another CA, with an address,', 'email', () => ofAnotherCa],
      ['a certificate without an address, where that is asked for,', 'email', () => byName],
      ['a certificate with two addresses', 'email', () => ofTwo],
    ]
    for (const [what, kind, leaf] of nobodies) {
      test(`is not offered to a client with ${what} and not taken from it; a password is`, async () => {
        const client = await open(protocol, kind, leaf())
        assert.equal(await offersExternal(client), false)
        assert.match((await authenticate(client, 'EXTERNAL', '')).answer, NOT_OFFERED[protocol])
        assert.match((await authenticate(client, 'EXTERNAL', ALICE)).answer, NOT_OFFERED[protocol])
        const { accepted, answer } = await client.login(ALICE, PASSWORD)
        assert.ok(accepted, answer)
        await client.quit()
      })
    }

    test('is not offered where certificates are not asked for', async () => {
      const tls = { ca, servername: 'mail.example.test', cert: byName.cert, key: byName.key }
      const client = await openMailClient(scene, protocol, mailmux.ports[`${protocol}s`], 'implicit', tls)
      assert.equal(await offersExternal(client), false)
      assert.match((await authenticate(client, 'EXTERNAL', '')).answer, NOT_OFFERED[protocol])
      await client.quit()
    })
  })
}

const COMMAND = 'the plain command'
/** Everything that a client may log in by with a password. */
const PASSWORD_LOGINS: Record<string, (client: MailClient, user: string, password: string) => Promise<SaslAnswer>> = {
  [COMMAND]: async (client, user, password) => ({ ...(await client.login(user, password)), challenges: [] }),
  PLAIN: (client, user, password) => authenticate(client, 'PLAIN', plainMessage(user, password)),
  LOGIN: (client, user, password) =>
    authenticate(client, 'LOGIN', undefined, (_, step) => (step === 1 ? user : password)),
  'SCRAM-SHA-256': (client, user, password) => {
    const { first, respond } = scramClient('SCRAM-SHA-256', user, password)
    return authenticate(client, 'SCRAM-SHA-256', first, respond)
  },
}

for (const protocol of PROTOCOLS) {
  describe(`user*master by ${protocol}`, () => {
    const enter = () =>
      openMailClient(scene, protocol, masterDoors[protocol]!, 'implicit', { ca, servername: 'mail.example.test' })

    for (const [how, login] of Object.entries(PASSWORD_LOGINS)) {
      test(`opens the user’s mailbox by ${how}, and is logged with the master user`, async () => {
        const client = await enter()
        await arrives(client, await login(client, `${BOB}*${MASTER}`, MASTER_SECRET), BOB)
        const command = protocol === 'imap' ? 'LOGIN' : 'USER'
        const seen = {
          listener: `${protocol}-master`,
          user: BOB,
          master: MASTER,
          mechanism: how === COMMAND ? command : how,
        }
        const isSeen = (line: object) => Object.entries(seen).every(([key, value]) => Reflect.get(line, key) === value)
        await mailmux.waitForLog(isSeen, `the login by ${how}`)
      })
    }

    test('is refused by the store where the user is no master, or gives another password', async () => {
      const client = await enter()
      const [wrong, own, unknown] = [
        await client.login(`${BOB}*${MASTER}`, PASSWORD),
        await client.login(`${BOB}*${ALICE}`, PASSWORD),
        await client.login(`stranger@example.test*${MASTER}`, MASTER_SECRET),
      ]
      assert.deepEqual([wrong.accepted, own.accepted, unknown.accepted], [false, false, false])
      const { accepted } = await client.login(BOB, PASSWORD)
      assert.ok(accepted)
      await client.quit()
    })

    for (const [index, typed] of TYPED.entries())
      test(`beside it, ${typed} reaches the store as it is typed`, async () => {
        for (const [how, login] of Object.entries(PASSWORD_LOGINS)) {
          const client = await enter()
          const name = how === COMMAND && protocol === 'imap' ? `"${typed.replace('\\', '\\\\')}"` : typed
          const { accepted, answer } = await login(client, name, PASSWORD)
          assert.ok(accepted, answer)
          assert.deepEqual(await client.subjects(), [markerSubject('ordinary', typed)])
          await client.quit()
        }
        await mailmux.waitForLog((line) => line['user'] === TYPED_USERS[index], 'the user by route')
      })

    test('is unknown where the listener has no separator', async () => {
      const tls = { ca, servername: 'mail.example.test' }
      const client = await openMailClient(scene, protocol, mailmux.ports[`${protocol}s`], 'implicit', tls)
      assert.equal((await client.login(`${BOB}*${MASTER}`, MASTER_SECRET)).accepted, false)
      await client.quit()
    })
  })
}

test('The master’s secret stands in no log', () => {
  assert.equal(findInLog(mailmux, MASTER_SECRET, PASSWORD), undefined)
  for (const store of stores) assert.ok(!store.log().includes(MASTER_SECRET))
})
