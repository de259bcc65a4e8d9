/** Back ends that DNS names, asked of a real name server (dnsmasq): records that change, SRV priorities, and the next address. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { markerSubject, startDovecot } from '../support/dovecot.ts'
import { makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS } from '../support/deadline.ts'
import { openMailClient } from '../support/mail-client.ts'
import { type Mailmux, startMailmux } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { type Program, startProgram } from '../support/processes.ts'
import { openScene, type Scene } from '../support/scene.ts'
import type { PeerTls } from '../support/scripted-peer.ts'

const PASSWORD = 'secret'
const USERS = { 'alice@example.test': PASSWORD, 'bob@example.test': PASSWORD }

let scene: Scene
let mailmux: Mailmux
let dnsmasq: Program
let hostsFile: string
let tls: PeerTls

/** Where the named store is said to be; all stores listen on 127.0.0.1 alone. */
const say = (address: string): Promise<void> =>
  writeFile(hostsFile, `${address} store1.example.test\n127.0.0.1 store2.example.test\n`)

before(async () => {
  scene = openScene()
  const authority = await makeAuthority(scene.directory)
  const certificate = await authority.issue('mailmux')
  tls = { ca: authority.ca, servername: 'mail.example.test' }
  const store1 = await startDovecot(scene, { name: 'store1', users: USERS, certificate })
  const store2 = await startDovecot(scene, { name: 'store2', users: USERS, certificate })
  scene.closeLater(async () => {
    await Promise.all([store1.stop(), store2.stop()])
  })

  hostsFile = join(scene.directory, 'hosts')
  await say('127.0.0.2')
  const [dns, closed] = [await freePort(), await freePort()]
  const service = (port: number, priority: number): string =>
    `--srv-host=_imap._tcp.example.test,store2.example.test,${port},${priority}`
  dnsmasq = startProgram(scene, {
    name: 'dnsmasq',
    command: '/usr/sbin/dnsmasq',
    args: [
      ...['--keep-in-foreground', '--conf-file=/dev/null', '--pid-file=', '--user=', '--log-facility=-'],
      ...['--no-resolv', '--no-hosts', `--addn-hosts=${hostsFile}`, '--local-ttl=5'],
      ...[`--port=${dns}`, '--listen-address=127.0.0.1', '--bind-interfaces'],
      ...[service(store2.ports.imap, 20), service(closed, 10)],
    ],
  })
  await dnsmasq.waitForLine((line) => line.includes('started'), START_DEADLINE_MS, 'its start')

  mailmux = await startMailmux(scene, {
    certificate,
    backends: {
      named: { host: 'store1.example.test', imap: store1.ports.imap },
      served: { srv: { imap: '_imap._tcp.example.test' } },
    },
    users: { 'alice@example.test': 'named', 'bob@example.test': 'served' },
    routing: { resolvers: [`127.0.0.1:${dns}`] },
  })
})
after(() => scene.close())

async function logIn(user: string): Promise<{ answer: string; subjects: string[] }> {
  const client = await openMailClient(scene, 'imap', mailmux.ports.imap, 'starttls', tls)
  const { accepted, answer } = await client.login(user, PASSWORD)
  const subjects = accepted ? await client.subjects() : []
  client.peer.destroy()
  return { answer, subjects }
}

test('goes by SRV to the next target where the first does not serve', async () => {
  assert.deepEqual((await logIn('bob@example.test')).subjects, [markerSubject('store2', 'bob@example.test')])
  await mailmux.waitForLog(
    ({ msg, backend }) => msg === 'back end tried again' && backend === 'served',
    'the target of the better priority comes first',
  )
})

test('goes where a record leads to now, once the old one has run out', async () => {
  assert.match((await logIn('alice@example.test')).answer, /^NO \[UNAVAILABLE\]/)
  await say('127.0.0.1')
  dnsmasq.signal('SIGHUP')
  const isNew = ({ msg, addresses }: { msg: string; addresses?: unknown }): boolean =>
    msg === 'back end addresses changed' && JSON.stringify(addresses).includes('127.0.0.1')
  await mailmux.waitForLog(isNew, 'the new address')
  assert.deepEqual((await logIn('alice@example.test')).subjects, [markerSubject('store1', 'alice@example.test')])
})

test('goes on where it was while the name server is away', async () => {
  await dnsmasq.stop()
  await mailmux.waitForLog(({ msg }) => msg === 'back end name not found', 'the name server is missed', 30_000)
  assert.deepEqual((await logIn('alice@example.test')).subjects, [markerSubject('store1', 'alice@example.test')])
})
