/** Sockets that a service manager has opened: systemd's own `systemd-socket-activate` stands for it, which needs no running systemd. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { afterEach, beforeEach, test } from 'node:test'
import { type Authority, makeAuthority } from '../support/certificates.ts'
import { MAIN } from '../support/command.ts'
import { START_DEADLINE_MS } from '../support/deadline.ts'
import { freeMailmuxPorts, type MailmuxPorts, writeConfiguration } from '../support/mailmux.ts'
import { freePort, isFree } from '../support/ports.ts'
import { type Program, startProgram } from '../support/processes.ts'
import { lacks, MAILMUX_RUNTIME } from '../support/runtime.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { connectPeer } from '../support/scripted-peer.ts'

if (lacks('passingPorts')) process.exit(0)

let scene: Scene
let authority: Authority
let ports: MailmuxPorts
beforeEach(async () => {
  scene = openScene()
  authority = await makeAuthority(scene.directory)
  ports = await freeMailmuxPorts()
})
afterEach(() => scene.close())

type Socket = { name: string; port: number; host?: string }

/** systemd-socket-activate starts the program at the first connection to any of the sockets. */
async function activate(sockets: readonly Socket[], workers: number, listeners: object[] = []): Promise<Program> {
  const { configFile } = await writeConfiguration(scene, ports, {
    certificate: await authority.issue('mailmux'),
    backends: { store1: { host: '127.0.0.1', imap: await freePort(), health: { check: 'none' } } },
    listeners: listeners as never,
    settings: { workers },
  })
  const listen = sockets.flatMap(({ port, host = '127.0.0.1' }) => ['-l', `${host}:${port}`])
  const names = sockets.map(({ name }) => name).join(':')
  const program = startProgram(scene, {
    name: 'systemd-socket-activate',
    command: 'systemd-socket-activate',
    args: [...listen, `--fdname=${names}`, MAILMUX_RUNTIME, MAIN, 'run', '-c', configFile],
  })
  for (const { port } of sockets) {
    await program.waitForLine((line) => line.includes(`:${port} as `), START_DEADLINE_MS, `socket ${port}`)
  }
  return program
}

const isReady = (line: string): boolean => line.includes('"msg":"ready"')

for (const workers of [1, 2]) {
  test(`accepts from the sockets of the service manager, with ${workers} of workers`, async () => {
    const program = await activate(
      [
        { name: 'imap-starttls', port: ports.imap },
        { name: 'mailmux-pop3-none.socket', port: ports.pop3Clear },
        { name: 'admin', port: ports.admin },
      ],
      workers,
    )
    // Both wait in the queue of the kernel until mailmux has started.
    const imap = await connectPeer(scene, { port: ports.imap })
    const pop3 = await connectPeer(scene, { port: ports.pop3Clear })
    await imap.expect(/^\* OK /)
    await pop3.expect(/^\+OK /)
    await program.waitForLine(isReady, START_DEADLINE_MS * workers, 'its readiness')
    // The listeners without a socket are bound as usual.
    const other = await connectPeer(scene, { port: ports.imapClear })
    await other.expect(/^\* OK /)
    assert.equal((await fetch(`http://127.0.0.1:${ports.admin}/readyz`)).status, 200)
    for (const peer of [imap, pop3, other]) peer.destroy()
    const exit = await program.stop()
    assert.deepEqual(exit, { code: 0, signal: null })
    for (const port of Object.values(ports)) assert.ok(await isFree(port), `port ${port} is still open`)
  })
}

test('a socket for both families serves the listener of both addresses', async () => {
  const port = await freePort()
  const listener = { name: 'both', protocol: 'imap', listen: [String(port)], tls: 'none', allow_plaintext_auth: true }
  const program = await activate([{ name: 'both', port, host: '[::]' }], 1, [listener])
  for (const host of ['127.0.0.1', '::1']) {
    const peer = await connectPeer(scene, { port: port, host })
    await peer.expect(/^\* OK /)
    peer.destroy()
  }
  await program.stop()
})

test('a socket that matches no listener ends the start with a message that says so', async () => {
  const port = await freePort()
  const program = await activate([{ name: 'imapx', port }], 1)
  const peer = await connectPeer(scene, { port })
  const { code } = await program.exited
  peer.destroy()
  assert.equal(code, 1)
  assert.match(
    program.stderr(),
    new RegExp(
      `^mailmux: socket activation: the socket "imapx" \\(127\\.0\\.0\\.1:${port}\\) matches no listener: FileDescriptorName= of its unit must be one of imap-starttls, .*admin$`,
      'm',
    ),
  )
  const probe = createServer().listen(ports.imap, '127.0.0.1')
  await once(probe, 'listening')
  probe.close()
})
