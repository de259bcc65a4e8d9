/** Clients that send and never read: their connections end soon after their sessions. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { type Authority, makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { type Mailmux, startMailmux } from '../support/mailmux.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { countSockets } from '../support/sockets.ts'

let scene: Scene
let authority: Authority
let mailmux: Mailmux

before(async () => {
  scene = openScene()
  authority = await makeAuthority(scene.directory)
  mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    backends: { store1: { host: '127.0.0.1', imap: 1, pop3: 1, health: { check: 'none' } } },
    limits: { login_timeout: '6s' },
  })
})
after(() => scene.close())

const DOORS = ['imapClear', 'pop3Clear', 'imaps', 'pop3s', 'imap', 'pop3'] as const
type Door = (typeof DOORS)[number]

/** A client that is connected, in TLS where the door asks for it, and does not read from now on. */
async function openMute(door: Door, maxVersion: 'TLSv1.2' | 'TLSv1.3'): Promise<Socket> {
  const socket = connectTcp(mailmux.ports[door], '127.0.0.1')
  socket.on('error', () => undefined) // mailmux may reset it
  scene.closeLater(() => void socket.destroy())
  await once(socket, 'connect')
  if (door.endsWith('Clear')) return socket.pause()
  if (!door.endsWith('s')) {
    await once(socket, 'data')
    socket.write(door === 'imap' ? 'a STARTTLS\r\n' : 'STLS\r\n')
    await once(socket, 'data')
    socket.removeAllListeners('data').pause()
  }
  const secured = connectTls({ socket, ca: authority.ca, servername: 'mail.example.test', maxVersion })
  secured.on('error', () => undefined)
  await once(secured, 'secureConnect')
  return secured.pause()
}

/** Sends commands until mailmux takes no more, or has taken so many bytes. */
async function pipeline(socket: Socket, command: string, bytes: number): Promise<void> {
  const piece = `${command}\r\n`.repeat(Math.ceil((64 * 1024) / (command.length + 2)))
  for (let sent = 0; sent < bytes && !socket.destroyed; sent += piece.length) {
    if (socket.write(piece)) continue
    const drained = once(socket, 'drain', { signal: AbortSignal.timeout(1000) })
    if (
      !(await drained.then(
        () => true,
        () => false,
      ))
    )
      return
  }
}

const commandFor = (door: Door): string => (door.startsWith('imap') ? 'a CAPABILITY' : 'CAPA')

for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const)
  test(`closes the connection of a client that never reads soon after its session (${maxVersion})`, async () => {
    const before = await countSockets(mailmux.pid)
    const logged = mailmux.log().length
    await Promise.all(
      DOORS.map(async (door) => pipeline(await openMute(door, maxVersion), commandFor(door), 4 * 1024 * 1024)),
    )
    const ended = (): number =>
      mailmux
        .log()
        .slice(logged)
        .filter(({ msg }) => msg === 'session ended').length
    await until(
      START_DEADLINE_MS,
      () => ended() === DOORS.length || undefined,
      () => `${ended()} of ${DOORS.length} sessions have ended`,
    )
    for (const { msg, cause } of mailmux.log().slice(logged))
      if (msg === 'session ended') assert.equal(cause, 'client-login-timeout')
    let open = 0
    await until(
      START_DEADLINE_MS,
      async () => (open = await countSockets(mailmux.pid)) <= before || undefined,
      () => `${open - before} connections outlive their sessions`,
    )
  })
