/** RSA and ECDSA certificates with the same names: each client is shown the one that it supports. */
import assert from 'node:assert/strict'
import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { makeAuthority, type Authority } from '../support/certificates.ts'
import { READ_DEADLINE_MS, until } from '../support/deadline.ts'
import { startMailmux, type Mailmux } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { shakeHandsWithOpenssl } from '../support/s-client.ts'

/** Arguments of s_client for a client that supports one kind of key alone. */
const CLIENTS = {
  'TLS 1.3, ECDSA': { kind: 'ec', args: ['-tls1_3', '-sigalgs', 'ECDSA+SHA256'] },
  'TLS 1.3, RSA': { kind: 'rsa', args: ['-tls1_3', '-sigalgs', 'RSA-PSS+SHA256'] },
  'TLS 1.2, ECDSA by its signatures': { kind: 'ec', args: ['-tls1_2', '-sigalgs', 'ECDSA+SHA256'] },
  'TLS 1.2, RSA by its signatures': { kind: 'rsa', args: ['-tls1_2', '-sigalgs', 'RSA+SHA256:RSA-PSS+SHA256'] },
  'TLS 1.2, ECDSA by its ciphers': { kind: 'ec', args: ['-tls1_2', '-cipher', 'ECDHE-ECDSA-AES128-GCM-SHA256'] },
  'TLS 1.2, RSA by its ciphers': { kind: 'rsa', args: ['-tls1_2', '-cipher', 'ECDHE-RSA-AES128-GCM-SHA256'] },
} as const

/** Which pair of certificates a client gets, by the name that it asks for. */
const NAMES = {
  'no server name': { args: ['-noservername'], pair: 'usual' },
  'a name that no certificate carries': { args: ['-servername', 'nobody.example.net'], pair: 'usual' },
  'the name of the first pair': { args: ['-servername', 'mail.example.test'], pair: 'usual' },
  'the name of the second pair': { args: ['-servername', 'imap.example.org'], pair: 'second' },
  'the same with a dot at its end': { args: ['-servername', 'imap.example.org.'], pair: 'second' },
} as const

const SECOND = ['DNS:imap.example.org']

let scene: Scene
let authority: Authority
let mailmux: Mailmux

before(async () => {
  scene = openScene()
  authority = await makeAuthority(scene.directory)
  const usual = await authority.issue('usual-ec')
  await authority.issue('usual-rsa', { key: 'rsa' })
  await authority.issue('second-ec', { names: SECOND })
  await authority.issue('second-rsa', { names: SECOND, key: 'rsa' })
  const certificates = ['usual-rsa', 'second-ec', 'usual-ec', 'second-rsa'].map((name) => ({
    cert: `${name}.pem`,
    key: `${name}-key.pem`,
  }))
  const port = await freePort() // no store is there: these tests end before a login
  mailmux = await startMailmux(scene, {
    certificate: usual,
    settings: { tls: { certificates } },
    backends: { store: { host: '127.0.0.1', imap: port, pop3: port, health: { check: 'none' } } },
  })
})
after(() => scene.close())

/** The common name of the certificate that s_client is shown. */
async function shown(port: number, args: readonly string[], command = ''): Promise<string | undefined> {
  const { output } = await shakeHandsWithOpenssl(port, args, command)
  return /^subject=CN ?= ?(.*)$/m.exec(output)?.[1]
}

for (const protocol of ['imap', 'pop3'] as const)
  describe(protocol, () => {
    for (const [client, { kind, args }] of Object.entries(CLIENTS)) {
      for (const [asked, { args: name, pair }] of Object.entries(NAMES))
        test(`a client of ${client}, that asks for ${asked}, is shown the certificate of its kind`, async () => {
          assert.equal(await shown(mailmux.ports[`${protocol}s`], [...args, ...name]), `${pair}-${kind}`)
        })

      test(`a client of ${client} is shown the certificate of its kind after STARTTLS`, async () => {
        const all = [...args, ...NAMES['the name of the second pair'].args, '-starttls', protocol]
        const command = protocol === 'imap' ? 'c CAPABILITY\r\n' : 'CAPA\r\n'
        assert.equal(await shown(mailmux.ports[protocol], all, command), `second-${kind}`)
      })
    }
  })

test('after a reload, each client is shown the new certificate of its kind', async () => {
  await authority.issue('renewed-ec', { names: SECOND })
  await authority.issue('renewed-rsa', { names: SECOND, key: 'rsa' })
  for (const kind of ['ec', 'rsa'])
    for (const what of ['', '-key'])
      await copyFile(
        join(scene.directory, `renewed-${kind}${what}.pem`),
        join(scene.directory, `second-${kind}${what}.pem`),
      )
  // The files are copied one by one, and may be read in between.
  for (const { kind, args } of Object.values(CLIENTS)) {
    const asking = [...args, '-servername', 'imap.example.org']
    const isNew = async () => (await shown(mailmux.ports.imaps, asking)) === `renewed-${kind}` || undefined
    await until(4 * READ_DEADLINE_MS, isNew, () => `no new certificate of kind ${kind}`)
  }
})
