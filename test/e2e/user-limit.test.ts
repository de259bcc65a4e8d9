/** A store's own limit of connections for one user, by a real Dovecot: the user hears of it, and nothing else suffers. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { READ_DEADLINE_MS, until } from '../support/deadline.ts'
import { type Dovecot, startDovecot } from '../support/dovecot.ts'
import { type MailProtocol, openMailClient } from '../support/mail-client.ts'
import { type Mailmux, startMailmux, toBackend } from '../support/mailmux.ts'
import { openScene, type Scene } from '../support/scene.ts'
import type { PeerTls } from '../support/scripted-peer.ts'

const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']
const WORDS = 'Maximum number of connections from user+IP exceeded (mail_max_userip_connections=1)'
const SAID = { imap: `NO [LIMIT] ${WORDS}`, pop3: `-ERR [IN-USE] ${WORDS}` }

let scene: Scene
let tls: PeerTls
let dovecot: Dovecot
let mailmux: Mailmux

before(async () => {
  scene = openScene()
  const authority = await makeAuthority(scene.directory)
  tls = { ca: authority.ca, servername: 'mail.example.test' }
  const names = PROTOCOLS.flatMap((protocol) => [`ann-${protocol}`, `ben-${protocol}`])
  dovecot = await startDovecot(scene, {
    name: 'store',
    users: Object.fromEntries(names.map((name) => [`${name}@example.test`, 'secret'])),
    extra: 'mail_max_userip_connections = 1\n',
  })
  mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    backends: { store: toBackend(dovecot) },
    domains: { 'example.test': 'store' },
  })
})
after(() => scene.close())

async function logIn(protocol: MailProtocol, user: string) {
  const port = mailmux.ports[protocol === 'imap' ? 'imapClear' : 'pop3Clear']
  const client = await openMailClient(scene, protocol, port, 'clear', tls)
  return { client, ...(await client.login(user, 'secret')) }
}

/** Dovecot counts a session a moment after it has answered the login. */
async function counted(protocol: MailProtocol, user: string): Promise<void> {
  await until(
    READ_DEADLINE_MS,
    async () => {
      const { accepted, answer, client } = await logIn(protocol, user)
      if (accepted) await client.quit()
      return answer === SAID[protocol] ? true : undefined
    },
    () => `${user} may log in twice`,
  )
}

for (const protocol of PROTOCOLS) {
  test(`${protocol}: is passed on, is not tried again, and does not mark the store down`, async () => {
    const ann = `ann-${protocol}@example.test`
    const first = await logIn(protocol, ann)
    assert.ok(first.accepted, first.answer)
    await counted(protocol, ann)
    // More often than the failures that mark a store down, by two users.
    for (let i = 0; i < 4; i++) assert.equal((await logIn(protocol, ann)).answer, SAID[protocol])
    const ben = `ben-${protocol}@example.test`
    const second = await logIn(protocol, ben)
    assert.ok(second.accepted, second.answer)
    await counted(protocol, ben)
    assert.equal(await mailmux.metric('mailmux_backend_up{backend="store"}'), 1)
    assert.doesNotMatch(mailmux.program.stdout(), /back end tried again|back end down/)
    await first.client.quit()
    await second.client.quit()
  })
}
