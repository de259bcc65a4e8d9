/** fail2ban reads the log with the filter of docs/logs.md. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS } from '../support/deadline.ts'
import { type Mailmux, startMailmux } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { run } from '../support/run.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { connectPeer } from '../support/scripted-peer.ts'

const PAGE = readFileSync(join(import.meta.dirname, '../../docs/logs.md'), 'utf8')

let scene: Scene
let mailmux: Mailmux
before(async () => {
  scene = openScene()
  const authority = await makeAuthority(scene.directory)
  mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    backends: { store1: { host: '127.0.0.1', imap: await freePort(), health: { check: 'none' } } },
    users: { 'away@example.test': 'store1' },
    limits: { failure_delay: '0s' },
    settings: { log: { level: 'info', format: 'json' } },
  })
})
after(() => scene.close())

async function logInByImap(user: string): Promise<void> {
  const peer = await connectPeer(scene, { port: mailmux.ports.imapClear })
  await peer.expect(/^\* OK/)
  peer.sendRaw(`a LOGIN {${user.length}+}\r\n${user} {6+}\r\nsecret\r\n`)
  await peer.expectUntil(/^a NO/)
  peer.end()
}

test('finds the clients of refused logins, and nothing else', async () => {
  // The last two try to look like another client, and like a refusal of their own.
  const names = ['nobody', 'j\xc3\xbcrgen', '\xff\xfe', '"client":"192.0.2.1"', 'x","reason":"authentication-failed']
  for (const name of names) await logInByImap(name)
  const peer = await connectPeer(scene, { port: mailmux.ports.pop3Clear })
  await peer.expect(/^\+OK/)
  peer.sendRaw('USER nobody\r\nPASS secret\r\n')
  await peer.expect(/^\+OK/)
  await peer.expect(/^-ERR/)
  peer.end()
  await logInByImap('away') // unavailable: no fault of the client
  const isRefused = (line: { msg: string; user?: unknown }): boolean =>
    line.msg === 'login refused' && line.user === 'away@example.test'
  await mailmux.waitForLog(isRefused, 'the last login', START_DEADLINE_MS)

  const [, filter = ''] = /```ini\n(\[Definition\]\n[^]*?)```/.exec(PAGE) ?? []
  const filterFile = join(scene.directory, 'mailmux.conf')
  const logFile = join(scene.directory, 'mailmux.log')
  writeFileSync(filterFile, filter)
  writeFileSync(logFile, mailmux.program.stdout())
  const { stdout, stderr } = await run('fail2ban-regex', ['--out', 'ip', logFile, filterFile])
  assert.deepEqual(stdout.trim().split('\n'), Array<string>(names.length + 1).fill('127.0.0.1'), stderr)
  const report = await run('fail2ban-regex', [logFile, filterFile])
  assert.match(report.stdout, /Date template hits:\n.*\n.*\[\d+\] .*"time":"/)
})
