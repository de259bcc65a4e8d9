/** A second kind of server: Cyrus beside Dovecot behind one mailmux, in one routing file. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { type Cyrus, startCyrus } from '../support/cyrus.ts'
import { type Dovecot, markerSubject, startDovecot } from '../support/dovecot.ts'
import { type MailProtocol, openMailClient } from '../support/mail-client.ts'
import { type Mailmux, startMailmux, toBackend } from '../support/mailmux.ts'
import { authenticate, plainMessage } from '../support/sasl-client.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { connectPeer, type PeerTls, type ScriptedPeer } from '../support/scripted-peer.ts'

const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']
const PASSWORD = 'secret'
const ALICE = 'alice@example.test'
const BOB = 'bob@example.test'
const DORA = 'dora@example.org'
const BOSS = 'boss@example.test'
const WRONG_PASSWORD = { imap: /^NO \[AUTHENTICATIONFAILED\] /, pop3: /^-ERR \[AUTH\] / }

let scene: Scene
let tls: PeerTls
let cyrus: Cyrus
let dovecot: Dovecot
let mailmux: Mailmux
before(async () => {
  scene = openScene()
  const authority = await makeAuthority(scene.directory)
  tls = { ca: authority.ca, servername: 'mail.example.test' }
  const users = { [ALICE]: PASSWORD, [BOB]: PASSWORD, [DORA]: PASSWORD }
  ;[cyrus, dovecot] = await Promise.all([
    startCyrus(scene, { name: 'cyrus', users, admin: { user: BOSS, password: PASSWORD } }),
    startDovecot(scene, { name: 'dovecot', users, mechanisms: 'plain login scram-sha-256' }),
  ])
  mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    backends: { cyrus: { host: '127.0.0.1', ...cyrus.ports, tls: 'none' }, dovecot: toBackend(dovecot) },
    users: { [ALICE]: 'cyrus', [BOB]: 'dovecot', [BOSS]: 'cyrus' },
    domains: { 'example.org': 'cyrus' },
  })
})
after(() => scene.close())

const open = (protocol: MailProtocol) => openMailClient(scene, protocol, mailmux.ports[`${protocol}s`], 'implicit', tls)

/** The words of CAPABILITY, or the lines of CAPA. */
async function announced(protocol: MailProtocol, peer: ScriptedPeer): Promise<string[]> {
  peer.send(protocol === 'imap' ? 'w CAPABILITY' : 'CAPA')
  const lines = await peer.expectUntil(protocol === 'imap' ? /^w OK/ : '.')
  if (protocol === 'pop3') return lines.slice(1, -1)
  return lines
    .find((line) => line.startsWith('* CAPABILITY '))!
    .split(' ')
    .slice(2)
}

async function announcedBy(protocol: MailProtocol, { ports }: Cyrus | Dovecot): Promise<string[]> {
  const peer = await connectPeer(scene, { port: ports[protocol] })
  await peer.readLine()
  const words = await announced(protocol, peer)
  peer.destroy()
  return words
}

for (const protocol of PROTOCOLS) {
  describe(`by ${protocol}`, () => {
    test('each user reads mail at the one server or the other', async () => {
      for (const [user, store] of [
        [ALICE, 'cyrus'],
        [BOB, 'dovecot'],
        [DORA, 'cyrus'],
      ] as const) {
        const client = await open(protocol)
        const { accepted, answer } = await client.login(user, PASSWORD)
        assert.ok(accepted, answer)
        assert.deepEqual(await client.subjects(), [markerSubject(store, user)])
        await client.quit()
      }
    })

    test('Cyrus takes a login by SASL PLAIN', async () => {
      const client = await open(protocol)
      const { accepted, answer } = await authenticate(client, 'PLAIN', plainMessage(ALICE, PASSWORD))
      assert.ok(accepted, answer)
      assert.deepEqual(await client.subjects(), [markerSubject('cyrus', ALICE)])
      await client.quit()
    })

    test('a wrong password gets the same reply from either, and the right one is accepted after it', async () => {
      const answers = new Set<string>()
      for (const [user, store] of [
        [ALICE, 'cyrus'],
        [BOB, 'dovecot'],
      ] as const) {
        const client = await open(protocol)
        const { answer } = await client.login(user, 'wrong')
        assert.match(answer, WRONG_PASSWORD[protocol])
        answers.add(answer)
        assert.ok((await client.login(user, PASSWORD)).accepted)
        assert.deepEqual(await client.subjects(), [markerSubject(store, user)])
        await client.quit()
      }
      assert.equal(answers.size, 1)
    })

    test('a wrong password at Cyrus does not tie the connection to it', async () => {
      const client = await open(protocol)
      assert.equal((await client.login(ALICE, 'wrong')).accepted, false)
      assert.ok((await client.login(BOB, PASSWORD)).accepted)
      assert.deepEqual(await client.subjects(), [markerSubject('dovecot', BOB)])
      await client.quit()
    })

    test('before login nothing is announced but what mailmux does itself and what both servers do', async () => {
      const own = {
        imap: ['IMAP4rev1', 'SASL-IR', 'ID', 'ENABLE', 'AUTH=PLAIN', 'AUTH=LOGIN'],
        pop3: ['RESP-CODES', 'AUTH-RESP-CODE', 'USER', 'SASL PLAIN LOGIN', 'X-PROXY-TTL'],
      }[protocol]
      const [ofCyrus, ofDovecot] = [await announcedBy(protocol, cyrus), await announcedBy(protocol, dovecot)]
      const both = ofCyrus.filter((word) => ofDovecot.includes(word))
      const client = await open(protocol)
      const words = await announced(protocol, client.peer)
      for (const word of words) assert.ok(own.includes(word) || both.includes(word), word)
      // there is something on each side for it to leave out, and something that both have
      assert.ok(ofDovecot.some((word) => !words.includes(word)))
      assert.ok(words.includes(protocol === 'imap' ? 'LITERAL+' : 'UIDL'))
      await client.quit()
    })
  })
}

describe('Cyrus, which offers UNAUTHENTICATE and referrals,', () => {
  // COMPRESS too, since UNAUTHENTICATE could hide behind it; only from those to whom Cyrus offers both
  const WITHHELD = /UNAUTHENTICATE|MAILBOX-REFERRALS|LOGINDISABLED|COMPRESS/

  test('announces them itself', async () => {
    const peer = await connectPeer(scene, { port: cyrus.ports.imap })
    await peer.readLine()
    const answer = await peer.ask(`a LOGIN ${BOSS} ${PASSWORD}`, /^a OK/)
    assert.match(answer, / UNAUTHENTICATE /)
    assert.match(answer, / MAILBOX-REFERRALS /)
    assert.match(answer, / COMPRESS=DEFLATE /)
    await peer.ask('b UNAUTHENTICATE', /^b OK/)
    peer.destroy()
  })

  test('has them withheld from the answer to a login, and all else handed on', async () => {
    const direct = await connectPeer(scene, { port: cyrus.ports.imap })
    await direct.readLine()
    const wordsOf = (answer: string) => /\[CAPABILITY ([^\]]*)\]/.exec(answer)![1]!.split(' ')
    const all = wordsOf(await direct.ask(`a LOGIN ${BOSS} ${PASSWORD}`, /^a OK/))
    direct.destroy()

    const client = await open('imap')
    const { answer } = await client.login(BOSS, PASSWORD)
    assert.doesNotMatch(answer, WITHHELD)
    assert.deepEqual(
      wordsOf(answer),
      all.filter((word) => !WITHHELD.test(word)),
    )
    await client.quit()
  })

  test('offers compression to those whom it offers no UNAUTHENTICATE', async () => {
    const client = await open('imap')
    assert.match((await client.login(ALICE, PASSWORD)).answer, / COMPRESS=DEFLATE /)
    await client.peer.ask('z COMPRESS DEFLATE', /^z OK/)
    client.peer.destroy()
  })

  for (const [how, bytes] of [
    ['in a packet of its own', ['u UNAUTHENTICATE\r\n']],
    ['behind another command', ['n NOOP\r\nu unauthenticate\r\n']],
    ['cut into pieces', ['u UNAUTH', 'ENTICATE\r', '\n']],
    ['behind compression', ['u COMPRESS DEFLATE\r\n']],
    ['with the next login behind it', [`u UNAUTHENTICATE\r\nv LOGIN ${BOB} ${PASSWORD}\r\n`]],
  ] as const) {
    test(`does not hear UNAUTHENTICATE ${how}: the session ends`, async () => {
      const client = await open('imap')
      assert.ok((await client.login(BOSS, PASSWORD)).accepted)
      for (const piece of bytes) client.peer.sendRaw(piece)
      const lines: string[] = []
      for (;;) {
        const line = await client.peer.readLine().catch(() => undefined)
        if (line === undefined) break
        lines.push(line)
      }
      assert.ok(!lines.some((line) => /^[uv] /.test(line)), lines.join('\n'))
      await client.peer.expectClose()
    })
  }

  test('has the end noted in the log with its cause', async () => {
    await mailmux.waitForLog((line) => line['cause'] === 'client-unauthenticate' && line['user'] === BOSS, 'the cause')
  })

  const SMUGGLED = `u UNAUTHENTICATE\r\nv LOGIN ${BOB} ${PASSWORD}\r\n`
  const DECOY = `x APPEND y {${SMUGGLED.length + 2}+}\r\n`
  for (const [how, bytes] of [
    [
      'behind a synchronising literal that reads like a command with a literal',
      [`n SELECT {${DECOY.length}}\r\n${DECOY}`, `\r\n${SMUGGLED}`],
    ],
    ['behind a literal whose line ends in a bare LF', [`n SELECT {${SMUGGLED.length}+}\n${SMUGGLED}`]],
    ['behind a literal in the middle of a word', [`n SELECT foo~{${SMUGGLED.length}+}\r\n${SMUGGLED}`]],
    [
      'behind a literal where the command takes none',
      [`n SELECT user/${ALICE}\r\n`, `o FETCH {${SMUGGLED.length}+}\r\n${SMUGGLED}`],
    ],
    ['behind a tag of 130 octets', [`${'t'.repeat(130)} NOOP\r\n${SMUGGLED.replace('u', 'u'.repeat(130))}`]],
  ] as const) {
    test(`does not run UNAUTHENTICATE ${how}`, async () => {
      const client = await open('imap')
      assert.ok((await client.login(BOSS, PASSWORD)).accepted)
      for (const piece of bytes) client.peer.sendRaw(piece)
      client.peer.sendRaw('z NOOP\r\n')
      const lines: string[] = []
      // The session ends, or goes on as the user who logged in.
      while (!lines.at(-1)?.startsWith('z ')) {
        const line = await client.peer.readLine().catch(() => undefined)
        if (line === undefined) break
        lines.push(line)
      }
      assert.ok(!lines.some((line) => /^[uv]+ OK/.test(line)), lines.join('\n'))
      client.peer.destroy()
    })
  }

  for (const plus of ['', '+']) {
    test(`takes mail from a guarded session that reads like UNAUTHENTICATE in a literal of the kind {n${plus}}`, async () => {
      const client = await open('imap')
      assert.ok((await client.login(BOSS, PASSWORD)).accepted)
      const message = `Subject: x\r\n\r\n${SMUGGLED}`
      await client.peer.ask(`c CREATE user/${BOSS}`, /^c (OK|NO .*exists)/)
      const command = `a APPEND INBOX {${message.length}${plus}}`
      if (plus === '') await client.peer.ask(command, /^\+/)
      else client.peer.send(command)
      client.peer.sendRaw(`${message}\r\nb NOOP\r\n`)
      const lines = await client.peer.expectUntil(/^b OK/)
      assert.ok(
        lines.some((line) => line.startsWith('a OK')),
        lines.join('\n'),
      )
      assert.ok(!lines.some((line) => line.startsWith('+')), lines.join('\n'))
      client.peer.destroy()
    })
  }
})

const PLAIN = Buffer.from(plainMessage(BOB, PASSWORD)).toString('base64')

/** Commands that would let another user in, or change how the session is read. No RFC allows them after a login. */
const BEFORE_LOGIN = {
  imap: [`LOGIN ${BOB} ${PASSWORD}`, `AUTHENTICATE PLAIN ${PLAIN}`, 'STARTTLS', 'UNAUTHENTICATE'],
  pop3: [
    `USER ${BOB}`,
    `PASS ${PASSWORD}`,
    `AUTH PLAIN ${PLAIN}`,
    `APOP ${BOB} d41d8cd98f00b204e9800998ecf8427e`,
    'STLS',
    'XCLIENT ADDR=192.0.2.1',
  ],
}

for (const protocol of PROTOCOLS)
  test(`by ${protocol} no server takes a second login, or TLS, in a session that is not followed`, async () => {
    for (const [user, store] of [
      [DORA, 'cyrus'],
      [BOB, 'dovecot'],
    ] as const) {
      const client = await open(protocol)
      assert.ok((await client.login(user, PASSWORD)).accepted)
      for (const command of BEFORE_LOGIN[protocol]) {
        client.peer.send(protocol === 'imap' ? `z ${command}` : command)
        const answer =
          protocol === 'imap' ? (await client.peer.expectUntil(/^z /)).at(-1)! : await client.peer.readLine()
        assert.match(answer, /^(z (NO|BAD)|-ERR)/, `${store}: ${command}`)
      }
      assert.deepEqual(await client.subjects(), [markerSubject(store, user)])
      await client.quit()
    }
  })
