/** TLS session resumption and client certificates: a resumed session is worth what a full handshake with the same certificate is worth. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { ListenerSettings } from '../../src/config/settings.ts'
import { createIpSet } from '../../src/net/ip-set.ts'
import { Secret } from '../../src/secret.ts'
import { ClientConnection } from '../../src/client/connection.ts'
import { buildCertificates } from '../../src/tls/certificates.ts'
import { makeAuthority, type Authority, type Leaf } from '../support/certificates.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { startMailmux, type Mailmux, type YamlMap } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { shakeHandsWithOpenssl } from '../support/s-client.ts'
import { listenerSettings } from '../unit/listener/listener-settings.ts'

type Door =
  'open' | 'admits A' | 'admits B' | 'certifies A' | 'certifies B' | 'certifies B, certified A before the reload'
const DOORS: Door[] = [
  'open',
  'admits A',
  'admits B',
  'certifies A',
  'certifies B',
  'certifies B, certified A before the reload',
]
type Shown = 'nothing' | 'A' | 'B'
const SHOWN: Shown[] = ['nothing', 'A', 'B']

/** What a full handshake gives: `refused`, or the user that the session takes the client for. */
const WORTH: Record<Door, Record<Shown, string>> = {
  open: { nothing: 'nobody', A: 'nobody', B: 'nobody' },
  'admits A': { nothing: 'refused', A: 'nobody', B: 'refused' },
  'admits B': { nothing: 'refused', A: 'refused', B: 'nobody' },
  'certifies A': { nothing: 'nobody', A: 'alice', B: 'nobody' },
  'certifies B': { nothing: 'nobody', A: 'nobody', B: 'bob' },
  'certifies B, certified A before the reload': { nothing: 'nobody', A: 'nobody', B: 'bob' },
}

let directory: string
let a: Authority
let b: Authority
let server: Leaf
const leaves: Partial<Record<Shown, Leaf>> = {}
const servers: Server[] = []
/** ports by door; `twin` is another worker or instance with the same ticket secret */
const ports: Record<'own' | 'twin', Partial<Record<Door, number>>> = { own: {}, twin: {} }

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailmux-resumption-'))
  for (const below of ['a', 'b']) await mkdir(join(directory, below))
  ;[a, b] = [await makeAuthority(join(directory, 'a')), await makeAuthority(join(directory, 'b'))]
  server = await a.issue('mail')
  leaves.A = await a.issue('alice', { usage: 'clientAuth' })
  leaves.B = await b.issue('bob', { usage: 'clientAuth' })
  const settings: Record<Door, Partial<ListenerSettings>> = {
    open: {},
    'admits A': { clientCa: a.ca },
    'admits B': { clientCa: b.ca },
    'certifies A': { clientCa: a.ca, clientUser: '%{cn}' },
    'certifies B': { clientCa: b.ca, clientUser: '%{cn}' },
    // the same listener as `certifies A`, after a reload has put CA B in place of CA A
    'certifies B, certified A before the reload': { name: 'certifies A', clientCa: b.ca, clientUser: '%{cn}' },
  }
  for (const instance of ['own', 'twin'] as const)
    for (const door of DOORS)
      ports[instance][door] = await listen(listenerSettings({ name: door, tls: 'implicit', ...settings[door] }))
})

after(async () => {
  for (const one of servers) one.close()
  await rm(directory, { recursive: true })
})

/** A listener of its own build, that says after the handshake whom it takes the client for. */
async function listen(settings: ListenerSettings): Promise<number> {
  const certificates = [{ ...server, key: new Secret(server.key) }]
  const tls = { certificates, minVersion: 'TLSv1.2', ticketSecret: undefined } as const
  const context = {
    settings,
    banner: () => '',
    tls: buildCertificates({ ...tls, certificates }, [settings], 'one secret', Date.now()).serverOptions.get(
      settings.name,
    ),
    trustedProxies: createIpSet([]),
    passthrough: new Map<string, string>(),
  }
  const listening = createServer({ allowHalfOpen: true }, (socket) => {
    const conn = new ClientConnection(socket, context, () => undefined)
    conn
      .startImplicitTls()
      .then(() => conn.write(`* OK ${conn.certifiedUser ?? 'nobody'}\r\n`))
      .then(() => conn.readLine(100))
      .catch(() => undefined)
      .finally(() => conn.close())
  })
  servers.push(listening)
  listening.listen(0, '127.0.0.1')
  await once(listening, 'listening')
  return (listening.address() as AddressInfo).port
}

let counter = 0

/** One handshake. @returns what it is worth, and the file of the session that the server has sent, if any */
async function visit(port: number, version: string, shown: Shown, session?: string) {
  const file = join(directory, `session-${counter++}`)
  const leaf = leaves[shown]
  const { greeting, reused } = await shakeHandsWithOpenssl(port, [
    ...[version, '-sess_out', file],
    ...(leaf ? ['-cert', leaf.certFile, '-key', leaf.keyFile] : []),
    ...(session === undefined ? [] : ['-sess_in', session]),
  ])
  return { worth: greeting?.slice('* OK '.length) ?? 'refused', reused, session: existsSync(file) ? file : undefined }
}

for (const version of ['-tls1_2', '-tls1_3'])
  describe(`a session (${version})`, () => {
    for (const from of DOORS)
      test(`of the listener "${from}" gives no more than a full handshake at any listener`, async () => {
        for (const first of SHOWN) {
          const begun = await visit(ports.own[from]!, version, first)
          assert.equal(begun.worth, WORTH[from][first], `${first} in full`)
          if (begun.session === undefined) continue
          for (const to of DOORS)
            for (const again of new Set<Shown>(['nothing', first])) {
              const resumed = await visit(ports.twin[to]!, version, again, begun.session)
              const what = `${first} at "${from}", then ${again} at "${to}"`
              assert.equal(resumed.worth, WORTH[to][again], what)
              assert.equal(resumed.reused, from === 'open' && to === 'open', `${what}: resumed or not`)
            }
        }
      })

    test('is resumed where no certificate is asked for, by other workers and instances too', async () => {
      const { session } = await visit(ports.own.open!, version, 'nothing')
      for (const instance of ['own', 'twin'] as const)
        assert.equal((await visit(ports[instance].open!, version, 'nothing', session)).reused, true)
    })

    test('is not sent to a client that has shown no certificate where one is required', async () => {
      const { worth, session } = await visit(ports.own['admits A']!, version, 'nothing')
      assert.equal(worth, 'refused')
      assert.equal(session, undefined)
    })
  })

/** How a client reaches a listener of the real program, and how it asks which mechanisms there are. */
const WAYS = {
  'imap, implicit TLS': { protocol: 'imap', tls: 'implicit', args: [], command: 'c CAPABILITY\r\n' },
  'imap, STARTTLS': { protocol: 'imap', tls: 'starttls', args: ['-starttls', 'imap'], command: 'c CAPABILITY\r\n' },
  'pop3, implicit TLS': { protocol: 'pop3', tls: 'implicit', args: [], command: 'CAPA\r\n' },
  'pop3, STLS': { protocol: 'pop3', tls: 'starttls', args: ['-starttls', 'pop3'], command: 'CAPA\r\n' },
} as const
type Way = keyof typeof WAYS

describe('with two workers and a reload', () => {
  let scene: Scene
  let mailmux: Mailmux
  const doors = new Map<Way, number>()

  before(async () => {
    scene = openScene()
    await copyFile(a.caFile, join(scene.directory, 'clients.pem'))
    const master = join(scene.directory, 'master.secret')
    await writeFile(master, 'the-secret-of-the-master\n')
    const listeners: YamlMap[] = []
    for (const [way, { protocol, tls }] of Object.entries(WAYS)) {
      const port = await freePort()
      doors.set(way as Way, port)
      const name = `${protocol}-${tls}-certified`
      const certified = { client_ca_file: 'clients.pem', client_cert_user: '%{cn}' }
      listeners.push({ name, protocol, listen: `127.0.0.1:${port}`, tls, ...certified })
    }
    const port = await freePort() // where no store is: these tests end before a login
    mailmux = await startMailmux(scene, {
      certificate: server,
      listeners,
      settings: { workers: 2 },
      backends: {
        store: {
          ...{ host: '127.0.0.1', imap: port, pop3: port, health: { check: 'none' } },
          master: { user: 'master', password_file: master },
        },
      },
    })
  })
  after(() => scene.close())

  /** @returns whether EXTERNAL is offered to this client, and the file of the session that it was sent */
  async function ask(way: Way, version: string, leaf: Leaf | undefined, session?: string) {
    const file = join(directory, `session-${counter++}`)
    const { args, command } = WAYS[way]
    const shown = leaf ? ['-cert', leaf.certFile, '-key', leaf.keyFile] : []
    const resuming = session === undefined ? [] : ['-sess_in', session]
    const all = [version, ...args, ...shown, ...resuming, '-sess_out', file, '-ign_eof']
    const quit = way.startsWith('imap') ? 'q LOGOUT\r\n' : 'QUIT\r\n'
    const { output, reused } = await shakeHandsWithOpenssl(doors.get(way)!, all, command + quit)
    assert.match(output, /^(c OK|\.\r?$)/m, 'the capabilities were answered')
    return { external: /\bEXTERNAL\b/.test(output), reused, session: existsSync(file) ? file : undefined }
  }

  /** Takes sessions with this certificate everywhere, and gives what asks again with them. */
  async function holdSessions(leaf: Leaf) {
    const held: { way: Way; version: string; session: string | undefined }[] = []
    for (const way of doors.keys())
      for (const version of ['-tls1_2', '-tls1_3']) {
        const { external, session } = await ask(way, version, leaf)
        assert.ok(external, `${way} ${version}: EXTERNAL is offered with the certificate`)
        held.push({ way, version, session })
      }
    return async () => {
      for (const { way, version, session } of held) {
        const again = await ask(way, version, leaf, session)
        assert.equal(again.external, false, `${way} ${version}`)
        assert.equal(again.reused, false, `${way} ${version}`)
      }
    }
  }

  test('a session does not outlive the end of the certificate', async () => {
    // long enough for eight handshakes beside other tests
    const endsAt = new Date(Date.now() + 20_000)
    const askAgain = await holdSessions(await a.issue('brief', { usage: 'clientAuth', endsAt }))
    await until(
      START_DEADLINE_MS * 2,
      () => Date.now() > endsAt.getTime() + 1000 || undefined,
      () => 'time stands still',
    )
    await askAgain()
  })

  test('a session does not outlive the CA of the certificate', async () => {
    const askAgain = await holdSessions(leaves.A!)
    await writeFile(join(scene.directory, 'clients.pem'), await readFile(b.caFile))
    await mailmux.waitForLog((line) => line.msg === 'configuration taken over', 'the new CA', START_DEADLINE_MS)
    await askAgain()
  })
})
