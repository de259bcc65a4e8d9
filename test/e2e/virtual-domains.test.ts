/** Names as people type them, and the one user that they mean: default domains, delimiters, aliases, and the name at the store. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { markerSubject, startDovecot } from '../support/dovecot.ts'
import { type MailProtocol, openMailClient, type Security } from '../support/mail-client.ts'
import { type Mailmux, startMailmux, toBackend, type YamlMap } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { authenticate, plainMessage } from '../support/sasl-client.ts'
import { openScene, type Scene } from '../support/scene.ts'

const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']
const PASSWORD = 'secret'

/** Each name has its mailbox, so that the wrong one is seen and not refused. `plain` knows its users without domain, `dashed` by another rule. */
const MAILBOXES = {
  whole: ['ann@example.test', 'ann@example.org', 'ann@example.com', 'ann+news@example.test', 'ann+x@example.com'],
  plain: ['ben', 'ann', 'ben@example.edu'],
  dashed: ['example.biz-cy', 'cy@example.biz', 'renamed'],
}

let scene: Scene
let ca: string
let mailmux: Mailmux
/** the port of each listener of ours */
const ports: Record<string, number> = {}
before(async () => {
  scene = openScene()
  const authority = await makeAuthority(scene.directory)
  ca = authority.ca
  const names = ['DNS:mail.example.test', 'DNS:imap.example.org', 'DNS:imap.example.com']
  const certificate = await authority.issue('mailmux', { names })
  const start = (name: keyof typeof MAILBOXES) =>
    startDovecot(scene, {
      name,
      users: Object.fromEntries(MAILBOXES[name].map((user) => [user, PASSWORD])),
      extra: 'auth_username_chars =', // any: by default no plus sign
    })
  const [whole, plain, dashed] = await Promise.all([start('whole'), start('plain'), start('dashed')])

  const listeners: YamlMap[] = []
  for (const protocol of PROTOCOLS) {
    const add = async (kind: string, settings: YamlMap) => {
      const port = (ports[`${protocol} ${kind}`] = await freePort())
      const listen = ['127.0.0.1', '127.0.0.3', '127.0.0.4'].map((address) => `${address}:${port}`)
      listeners.push({ name: `${protocol}-${kind}`, protocol, listen, default_domain: 'example.test', ...settings })
    }
    const byAddress = { '127.0.0.3': 'example.org', '127.0.0.4': 'example.com' }
    const byName = { 'imap.example.org': 'example.org', 'imap.example.com': 'example.com' }
    await add('address', { tls: 'none', allow_plaintext_auth: true, default_domains: byAddress })
    await add('name', { tls: 'implicit', default_domains: byName })
    await add('upgraded', { tls: 'starttls', default_domains: { ...byName, '127.0.0.4': 'example.org' } })
    await add('delimiters', { tls: 'none', allow_plaintext_auth: true, delimiters: '@%+' })
  }
  mailmux = await startMailmux(scene, {
    certificate,
    listeners,
    backends: {
      whole: toBackend(whole),
      plain: { ...toBackend(plain), login_format: '%n' },
      dashed: { ...toBackend(dashed), login_format: '%d-%n' },
    },
    users: { 'dot@example.biz': { backend: 'dashed', login: 'renamed' } },
    domains: {
      'example.test': 'whole',
      'example.org': 'whole',
      'example.com': 'whole',
      'example.edu': 'plain',
      'example.biz': 'dashed',
    },
    aliases: { 'example.net': 'example.org', 'old.example.edu': 'example.edu' },
  })
})
after(() => scene.close())

type Way = { kind?: string; host?: string; security?: Security; serverName?: string }

/** Logs in under `name`, by password and by SASL PLAIN, and requires the marker of `mailbox`. */
async function arrives(
  protocol: MailProtocol,
  { kind, host = '127.0.0.1', security = 'clear', serverName = 'mail.example.test' }: Way,
  name: string,
  [store, mailbox]: [keyof typeof MAILBOXES, string],
): Promise<void> {
  const port = kind === undefined ? mailmux.ports[`${protocol}Clear`] : ports[`${protocol} ${kind}`]!
  for (const sasl of [false, true]) {
    const client = await openMailClient(scene, protocol, { port, host }, security, { ca, servername: serverName })
    const { accepted, answer } = sasl
      ? await authenticate(client, 'PLAIN', plainMessage(name, PASSWORD))
      : await client.login(typed(protocol, name), PASSWORD)
    assert.ok(accepted, `${name}: ${answer}`)
    assert.deepEqual(await client.subjects(), [markerSubject(store, mailbox)])
    await client.quit()
  }
}

/** RFC 9051 9: a percent sign is in no atom. POP3 knows no quotes. */
function typed(protocol: MailProtocol, name: string): string {
  return protocol === 'imap' ? `"${name}"` : name
}

for (const protocol of PROTOCOLS) {
  describe(`a name without a domain (${protocol})`, () => {
    test('belongs to the domain of the address that the client came to, else to the listener’s', async () => {
      await arrives(protocol, { kind: 'address', host: '127.0.0.3' }, 'ann', ['whole', 'ann@example.org'])
      await arrives(protocol, { kind: 'address', host: '127.0.0.4' }, 'ann', ['whole', 'ann@example.com'])
      await arrives(protocol, { kind: 'address' }, 'ann', ['whole', 'ann@example.test'])
    })

    test('belongs to the domain of the server name that the client asked for, else to the listener’s', async () => {
      const way = { kind: 'name', security: 'implicit' } as const
      await arrives(protocol, { ...way, serverName: 'imap.example.org' }, 'ann', ['whole', 'ann@example.org'])
      await arrives(protocol, { ...way, serverName: 'IMAP.Example.COM' }, 'ann', ['whole', 'ann@example.com'])
      await arrives(protocol, way, 'ann', ['whole', 'ann@example.test'])
    })

    test('heeds the server name before the address, after STARTTLS too', async () => {
      const way = { kind: 'upgraded', security: 'starttls', host: '127.0.0.4' } as const
      await arrives(protocol, { ...way, serverName: 'imap.example.com' }, 'ann', ['whole', 'ann@example.com'])
      await arrives(protocol, way, 'ann', ['whole', 'ann@example.org'])
    })

    test('does not matter to a name that has one', async () => {
      const way = { kind: 'address', host: '127.0.0.3' }
      await arrives(protocol, way, 'ann@example.com', ['whole', 'ann@example.com'])
    })
  })

  describe(`delimiters (${protocol})`, () => {
    const way = { kind: 'delimiters' }

    test('% and + part user from domain as @ does', async () => {
      for (const name of ['ann@example.com', 'ann%example.com', 'ann+example.com', 'ann%Example.COM']) {
        await arrives(protocol, way, name, ['whole', 'ann@example.com'])
      }
    })

    test('may stand in the user’s part where there is an @', async () => {
      await arrives(protocol, way, 'ann+x@example.com', ['whole', 'ann+x@example.com'])
    })

    test('are letters like others where they are not asked for', async () => {
      await arrives(protocol, {}, 'ann+news', ['whole', 'ann+news@example.test'])
      const client = await openMailClient(scene, protocol, mailmux.ports[`${protocol}Clear`], 'clear', {})
      assert.equal((await client.login(typed(protocol, 'ann%example.com'), PASSWORD)).accepted, false)
      client.peer.destroy()
    })
  })

  describe(`aliases (${protocol})`, () => {
    test('mean another domain, by which the user is looked up and logs in', async () => {
      await arrives(protocol, {}, 'ann@example.net', ['whole', 'ann@example.org'])
      await arrives(protocol, {}, 'ann@EXAMPLE.net', ['whole', 'ann@example.org'])
    })

    test('count behind every delimiter, and before the name for the store is made', async () => {
      await arrives(protocol, { kind: 'delimiters' }, 'ann%example.net', ['whole', 'ann@example.org'])
      await arrives(protocol, {}, 'ben@old.example.edu', ['plain', 'ben'])
    })
  })

  describe(`the name at the store (${protocol})`, () => {
    test('is made as its login_format says', async () => {
      await arrives(protocol, {}, 'ben@example.edu', ['plain', 'ben'])
      await arrives(protocol, {}, 'cy@example.biz', ['dashed', 'example.biz-cy'])
    })

    test('is the route’s own where it gives one', async () => {
      await arrives(protocol, {}, 'dot@example.biz', ['dashed', 'renamed'])
    })
  })
}
