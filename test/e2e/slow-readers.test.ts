/** Clients that send and never read: they take little memory, and their connections end soon after their sessions. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { afterEach, beforeEach, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { type Authority, makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { type Mailmux, startMailmux } from '../support/mailmux.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { countSockets } from '../support/sockets.ts'

let scene: Scene
let authority: Authority

beforeEach(async () => {
  scene = openScene()
  authority = await makeAuthority(scene.directory)
})
afterEach(() => scene.close())

async function start(loginTimeout: string): Promise<Mailmux> {
  return startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    backends: { store1: { host: '127.0.0.1', imap: 1, pop3: 1, health: { check: 'none' } } },
    limits: { login_timeout: loginTimeout },
  })
}

const DOORS = ['imapClear', 'pop3Clear', 'imaps', 'pop3s', 'imap', 'pop3'] as const
type Door = (typeof DOORS)[number]
type TlsVersion = 'TLSv1.2' | 'TLSv1.3'

/** A client that is connected, in TLS where the door asks for it, and does not read from now on. */
async function openMute({ ports }: Mailmux, door: Door, maxVersion: TlsVersion): Promise<Socket> {
  const socket = connectTcp(ports[door], '127.0.0.1')
  socket.on('error', () => undefined) // mailmux may reset it
  scene.closeLater(() => void socket.destroy())
  await once(socket, 'connect')
  if (door.endsWith('Clear')) return socket.pause()
  if (!door.endsWith('s')) {
    await once(socket, 'data')
    socket.write(door === 'imap' ? 'a STARTTLS\r\n' : 'STLS\r\n')
    await once(socket, 'data')
    socket.pause()
  }
  const secured = connectTls({ socket, ca: authority.ca, servername: 'mail.example.test', maxVersion })
  secured.on('error', () => undefined)
  await once(secured, 'secureConnect')
  return secured.pause()
}

/** A command whose answer is some 16 times as long. */
function pipeline(socket: Socket, door: Door, bytes: number): void {
  const command = door.startsWith('imap') ? 'a CAPABILITY\r\n' : 'CAPA\r\n'
  socket.write(command.repeat(Math.ceil(bytes / command.length)))
}

/** Waits until mailmux takes no more bytes from these clients, or has taken all. */
async function untilTaken(clients: readonly Socket[]): Promise<void> {
  const waiting = (): number => clients.reduce((sum, { writableLength }) => sum + writableLength, 0)
  let before = Infinity
  let sinceMs = performance.now()
  await until(
    120_000,
    () => {
      const now = waiting()
      if (now < before) [before, sinceMs] = [now, performance.now()]
      return now === 0 || performance.now() - sinceMs > 3000 || undefined
    },
    () => `mailmux still takes bytes: ${waiting()} are left`,
  )
}

/** A socket holds some 200 KiB for a client that does not read. Without a limit it was 16 times what the client had sent. */
const MOST_GROWTH_BYTES = 96 * 1024 * 1024

test('takes little memory for clients that pipeline commands and read nothing', async () => {
  const mailmux = await start('10m')
  const clients: Socket[] = []
  for (const door of DOORS) clients.push(await openMute(mailmux, door, 'TLSv1.3'))
  const before = await mailmux.memory()
  // In pieces: what a socket writes as one piece counts as waiting until all of it is taken.
  for (let piece = 0; piece < 64; piece++)
    for (const [index, door] of DOORS.entries()) pipeline(clients[index]!, door, 64 * 1024)
  await untilTaken(clients)
  const growth = (await mailmux.memory()) - before
  assert.ok(growth < MOST_GROWTH_BYTES, `${Math.round(growth / 1024 / 1024)} MiB more than before`)
})

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const)
  test(`closes the connection of a client that never reads soon after its session (${maxVersion})`, async () => {
    const mailmux = await start('8s')
    const before = await countSockets(mailmux.pid)
    await Promise.all(
      DOORS.map(async (door) => pipeline(await openMute(mailmux, door, maxVersion), door, 4 * 1024 * 1024)),
    )
    const ended = () => mailmux.log().filter(({ msg }) => msg === 'session ended')
    await until(
      START_DEADLINE_MS,
      () => ended().length === DOORS.length || undefined,
      () => `${ended().length} of ${DOORS.length} sessions have ended`,
    )
    for (const { cause } of ended()) assert.equal(cause, 'client-login-timeout')
    let open = 0
    await until(
      START_DEADLINE_MS,
      async () => (open = await countSockets(mailmux.pid)) <= before || undefined,
      () => `${open - before} connections outlive their sessions`,
    )
  })
