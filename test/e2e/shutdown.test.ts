/** How mailmux ends, and how it fails to begin: every client is told, nothing stays behind, and one line says why. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { createServer } from 'node:net'
import { once } from 'node:events'
import { isFree } from '../support/ports.ts'
import { freeMailmuxPorts, launchMailmux, type MailmuxPorts, writeConfiguration } from '../support/mailmux.ts'
import { openScene } from '../support/scene.ts'
import { PASSWORD, type Site, startSite } from '../support/site.ts'

let site: Site
beforeEach(async () => {
  site = await startSite()
})
afterEach(() => site.close())

async function requireNothingListens(ports: MailmuxPorts): Promise<void> {
  for (const [name, port] of Object.entries(ports)) assert.ok(await isFree(port), `${name} is still bound`)
}

test('SIGTERM says BYE to an idle session and exits with 0', async () => {
  const client = await site.open('imap', 'implicit')
  assert.ok((await client.login('alice@example.test', PASSWORD)).accepted)
  client.peer.send('s SELECT INBOX')
  await client.peer.expectUntil(/^s OK/)
  await client.peer.ask('i IDLE', /^\+/)
  const stopped = site.mailmux.stop()
  await client.peer.expectUntil(/^\* BYE /)
  await client.peer.expectClose()
  await stopped
  await requireNothingListens(site.mailmux.ports)
})

test('SIGTERM says BYE to a session that is quiet between commands', async () => {
  const client = await site.open('imap', 'starttls')
  assert.ok((await client.login('bob@example.test', PASSWORD)).accepted)
  const stopped = site.mailmux.stop()
  await client.peer.expectUntil(/^\* BYE /)
  await client.peer.expectClose()
  await stopped
})

test('SIGTERM says BYE before a login, in clear and in TLS', async () => {
  const clients = [
    await site.open('imap', 'clear'),
    await site.open('imap', 'starttls'),
    await site.open('imap', 'implicit'),
  ]
  const stopped = site.mailmux.stop()
  for (const { peer } of clients) {
    await peer.expect(/^\* BYE /)
    await peer.expectClose()
  }
  await stopped
})

test('SIGTERM ends POP3 sessions before and after a login', async () => {
  const waiting = await site.open('pop3', 'implicit')
  const reading = await site.open('pop3', 'implicit')
  assert.ok((await reading.login('carol@example.test', PASSWORD)).accepted)
  const stopped = site.mailmux.stop()
  await waiting.peer.expect(/^-ERR \[SYS\/TEMP\] /) // RFC 3206 4
  await waiting.peer.expectClose()
  await reading.peer.expectClose() // POP3 has no word for it: a client takes any answer for that of its next command
  await stopped
})

// RFC 1939 6: without QUIT the server keeps what the client has deleted, and the client fetches it again.
test('SIGTERM lets a POP3 session that has deleted a message go on until QUIT', async () => {
  const client = await site.open('pop3', 'implicit')
  const idle = await site.open('imap', 'implicit')
  assert.ok((await client.login('carol@example.test', PASSWORD)).accepted)
  assert.ok((await idle.login('alice@example.test', PASSWORD)).accepted)
  await client.peer.ask('DELE 1', /^\+OK/)
  const stopped = site.mailmux.stop()
  await idle.peer.expectUntil(/^\* BYE /)
  await client.peer.ask('NOOP', /^\+OK/)
  await client.peer.ask('QUIT', /^\+OK/)
  await client.peer.expectClose()
  await stopped
})

test('SIGTERM lets a command that is running come to its end', async () => {
  const body = 'x'.repeat(70) + '\r\n'
  await site.stores.store1.deliver('alice@example.test', `Subject: long\r\n\r\n${body.repeat(400_000)}`)
  const { peer, login } = await site.open('imap', 'implicit')
  assert.ok((await login('alice@example.test', PASSWORD)).accepted)
  peer.send('s SELECT INBOX')
  await peer.expectUntil(/^s OK/)
  peer.send('f FETCH 2 BODY.PEEK[]')
  const size = Number(/\{(\d+)\}$/.exec(await peer.expect(/^\* 2 FETCH .*\{\d+\}$/))![1])
  const stopped = site.mailmux.stop()
  await peer.readBytes(size, 20_000)
  await peer.expectUntil(/^f OK/)
  await peer.expectUntil(/^\* BYE /)
  await peer.expectClose()
  await stopped
})

test('a port that is in use is named in one line, with its holder, and nothing is left listening', async () => {
  const scene = openScene()
  try {
    const ports: MailmuxPorts = await freeMailmuxPorts()
    const holder = createServer().listen(ports.pop3s, '127.0.0.1')
    await once(holder, 'listening')
    const certificate = await site.authority.issue('again')
    const { configFile } = await writeConfiguration(scene, ports, {
      certificate,
      backends: { store1: { host: '127.0.0.1', imap: 1 } },
    })
    const program = launchMailmux(scene, configFile)
    const { code } = await program.exited
    holder.close()

    assert.equal(code, 1)
    const lines = program.stderr().trimEnd().split('\n')
    assert.equal(lines.length, 1, program.stderr())
    assert.match(lines[0]!, /pop3-implicit/)
    assert.match(lines[0]!, new RegExp(`127\\.0\\.0\\.1:${ports.pop3s}`))
    assert.match(lines[0]!, /in use|EADDRINUSE/)
    assert.match(lines[0]!, new RegExp(`\\b${process.pid}\\b`)) // the holder: this process
    await once(holder, 'close')
    await requireNothingListens(ports)
  } finally {
    await scene.close()
  }
})

test('a configuration that is wrong ends it with 1 before it listens', async () => {
  const scene = openScene()
  try {
    const { configFile } = await writeConfiguration(scene, site.mailmux.ports, {
      certificate: await site.authority.issue('again'),
      backends: { store1: { host: '127.0.0.1', imap: 1 } },
      settings: { no_such_key: true },
    })
    const program = launchMailmux(scene, configFile)
    assert.equal((await program.exited).code, 1)
    assert.match(program.stderr(), /no_such_key/)
  } finally {
    await scene.close()
  }
})
