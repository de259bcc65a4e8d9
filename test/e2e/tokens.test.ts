/** OAUTHBEARER and XOAUTH2: tokens that a real store asks its provider about, and, where a store is too particular, a scripted one. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { ImapFlow } from 'imapflow'
import { makeAuthority } from '../support/certificates.ts'
import { type Dovecot, markerSubject, startDovecot } from '../support/dovecot.ts'
import { type MailClient, type MailProtocol, openMailClient } from '../support/mail-client.ts'
import { type Mailmux, startMailmux, toBackend } from '../support/mailmux.ts'
import { type OauthIntrospection, startOauthIntrospection } from '../support/oauth-introspection.ts'
import { run } from '../support/run.ts'
import {
  authenticate,
  findInLog,
  oauthBearerMessage,
  type SaslAnswer,
  toBase64,
  xoauth2Message,
} from '../support/sasl-client.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { listenPeer, type PeerTls, type ScriptedPeer, type ScriptedServer } from '../support/scripted-peer.ts'

const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']
const ALICE = 'alice@example.test'
const WRONG_PASSWORD = { imap: /^NO \[AUTHENTICATIONFAILED\] /, pop3: /^-ERR \[AUTH\] / }
const MESSAGES = { OAUTHBEARER: oauthBearerMessage, XOAUTH2: xoauth2Message } as const
const MECHANISMS = ['OAUTHBEARER', 'XOAUTH2'] as const

/** Made anew for each run, so that finding it anywhere is no accident. */
const newToken = (bytes = 24): string => randomBytes(bytes).toString('hex')
const TOKEN = newToken()

describe('a store that asks an OAuth provider', () => {
  let scene: Scene
  let provider: OauthIntrospection
  let store: Dovecot
  let mailmux: Mailmux
  let caFile: string
  let tls: PeerTls
  before(async () => {
    scene = openScene()
    const authority = await makeAuthority(scene.directory)
    caFile = authority.caFile
    tls = { ca: authority.ca, servername: 'mail.example.test' }
    provider = await startOauthIntrospection(scene, { [TOKEN]: ALICE })
    store = await startDovecot(scene, {
      name: 'store1',
      users: { [ALICE]: 'unused' },
      mechanisms: 'plain xoauth2 oauthbearer',
      extra: provider.dovecotPassdb,
    })
    const certificate = await authority.issue('mailmux')
    const backends = { store1: toBackend(store) }
    mailmux = await startMailmux(scene, { certificate, backends, users: { [ALICE]: 'store1' } })
  })
  after(() => scene.close())

  const open = (protocol: MailProtocol) =>
    openMailClient(scene, protocol, mailmux.ports[`${protocol}s`], 'implicit', tls)
  async function isAtHome(client: MailClient, { accepted, answer }: SaslAnswer): Promise<void> {
    assert.ok(accepted, answer)
    assert.deepEqual(await client.subjects(), [markerSubject('store1', ALICE)])
    await client.quit()
  }

  for (const protocol of PROTOCOLS) {
    for (const mechanism of MECHANISMS) {
      test(`takes a token by ${mechanism} (${protocol})`, async () => {
        const message = MESSAGES[mechanism](ALICE, TOKEN)
        for (const initial of [message, undefined]) {
          const client = await open(protocol)
          await isAtHome(client, await authenticate(client, mechanism, initial, () => message))
        }
        assert.equal(provider.asked.at(-1), TOKEN)
        assert.equal(findInLog(mailmux, TOKEN), undefined)
      })

      test(`sends the client the error of a bad token, waits for its answer, and lets it go on by ${mechanism} (${protocol})`, async () => {
        const client = await open(protocol)
        const bad = newToken()
        // RFC 7628 3.2.3: the client answers with ^A, and only then is refused
        const refused = await authenticate(client, mechanism, MESSAGES[mechanism](ALICE, bad), () => '\x01')
        assert.match(refused.answer, WRONG_PASSWORD[protocol])
        assert.equal(refused.challenges.length, 1)
        assert.ok('status' in (JSON.parse(refused.challenges[0]!) as object))
        assert.equal(findInLog(mailmux, bad), undefined)
        await isAtHome(client, await authenticate(client, mechanism, MESSAGES[mechanism](ALICE, TOKEN)))
      })
    }

    test(`lets curl in with a token (${protocol})`, async () => {
      const [port, path] = protocol === 'imap' ? [mailmux.ports.imaps, 'INBOX;UID=1'] : [mailmux.ports.pop3s, '1']
      for (const mechanism of MECHANISMS) {
        const { code, stdout, stderr } = await run('curl', [
          ...['--silent', '--show-error', '--max-time', '15', '--cacert', caFile, '--user', ALICE],
          ...['--login-options', `AUTH=${mechanism}`, '--oauth2-bearer', TOKEN],
          `${protocol}s://127.0.0.1:${port}/${path}`,
        ])
        assert.equal(code, 0, `${mechanism}: ${stderr}`)
        assert.match(stdout, new RegExp(`Subject: ${markerSubject('store1', ALICE)}`))
      }
    })
  }

  test('lets imapflow in with a token, and not with another', async () => {
    const options = (accessToken: string) => ({
      host: '127.0.0.1',
      port: mailmux.ports.imaps,
      secure: true,
      auth: { user: ALICE, accessToken },
      tls,
      logger: false as const,
    })
    const client = new ImapFlow(options(TOKEN))
    await client.connect()
    assert.equal((await client.mailboxOpen('INBOX')).exists, 1)
    await client.logout()
    await assert.rejects(new ImapFlow(options(newToken())).connect(), (error: Error) => {
      return 'authenticationFailed' in error && error.authenticationFailed === true
    })
  })
})

/** A back end that offers PLAIN and OAUTHBEARER: says who it is, as far as the login command. */
async function meet(protocol: MailProtocol, { accept }: ScriptedServer): Promise<ScriptedPeer> {
  const peer = await accept()
  if (protocol === 'imap') {
    peer.send('* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=OAUTHBEARER] ready')
    return peer
  }
  peer.send('+OK ready')
  await peer.expect('CAPA')
  peer.sendRaw('+OK\r\nSASL PLAIN OAUTHBEARER\r\n.\r\n')
  return peer
}

for (const protocol of PROTOCOLS) {
  describe(`a scripted back end (${protocol})`, () => {
    let scene: Scene
    let backend: ScriptedServer
    let mailmux: Mailmux
    let tls: PeerTls
    before(async () => {
      scene = openScene()
      const authority = await makeAuthority(scene.directory)
      tls = { ca: authority.ca, servername: 'mail.example.test' }
      backend = await listenPeer(scene)
      const probed = meet(protocol, backend).then((peer) => peer.expect(protocol === 'imap' ? 'L LOGOUT' : 'QUIT'))
      mailmux = await startMailmux(scene, {
        certificate: await authority.issue('mailmux'),
        backends: { scripted: { host: '127.0.0.1', [protocol]: backend.port, health: { check: 'none' } } },
        users: { [ALICE]: 'scripted' },
      })
      await probed
    })
    after(() => scene.close())

    const open = () => openMailClient(scene, protocol, mailmux.ports[`${protocol}s`], 'implicit', tls)
    const tag = protocol === 'imap' ? 'A ' : ''
    /** Reads the login that mailmux replays; gives the message of the mechanism. */
    async function readMessage(peer: ScriptedPeer): Promise<string> {
      const line = await peer.readLine()
      const command = protocol === 'imap' ? 'A AUTHENTICATE OAUTHBEARER' : 'AUTH OAUTHBEARER'
      assert.ok(line.startsWith(command), line)
      const initial = line.slice(command.length + 1)
      if (initial !== '') return initial
      peer.send('+ ')
      return peer.readLine()
    }

    test('is sent a token of 20 KiB whole', async () => {
      const message = oauthBearerMessage(ALICE, newToken(10 * 1024))
      for (const initial of [message, undefined]) {
        const client = await open()
        const answered = authenticate(client, 'OAUTHBEARER', initial, () => message)
        const peer = await meet(protocol, backend)
        assert.equal(await readMessage(peer), toBase64(message))
        peer.send(protocol === 'imap' ? 'A OK [CAPABILITY IMAP4rev1] in' : '+OK in')
        assert.ok((await answered).accepted)
        client.peer.destroy()
        peer.destroy()
      }
    })

    test('has its challenge answered by the client, and the client its own words', async () => {
      const client = await open()
      const failure = '{"status":"invalid_token","scope":"mail"}'
      const answered = authenticate(client, 'OAUTHBEARER', oauthBearerMessage(ALICE, newToken()), () => '\x01')
      const peer = await meet(protocol, backend)
      await readMessage(peer)
      peer.send(`+ ${toBase64(failure)}`)
      await peer.expect(toBase64('\x01'))
      peer.send(`${tag}${protocol === 'imap' ? 'NO' : '-ERR'} no such token`)
      const { answer, challenges } = await answered
      assert.match(answer, WRONG_PASSWORD[protocol])
      assert.deepEqual(challenges, [failure])
      client.peer.destroy()
    })

    test('hears of a cancel', async () => {
      const client = await open()
      const answered = authenticate(client, 'OAUTHBEARER', oauthBearerMessage(ALICE, newToken()))
      const peer = await meet(protocol, backend)
      await readMessage(peer)
      peer.send(`+ ${toBase64('{"status":"invalid_token"}')}`)
      await peer.expect('*')
      peer.send(`${tag}${protocol === 'imap' ? 'BAD' : '-ERR'} cancelled`)
      assert.match((await answered).answer, protocol === 'imap' ? /^BAD / : /^-ERR [^[]/)
      client.peer.destroy()
    })
  })
}
