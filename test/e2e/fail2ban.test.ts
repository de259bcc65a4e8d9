/** fail2ban reads the log with the files of contrib/: it finds the clients of wrong passwords, and no others. */
import assert from 'node:assert/strict'
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS } from '../support/deadline.ts'
import { type Mailmux, startMailmux } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { run } from '../support/run.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { connectPeer } from '../support/scripted-peer.ts'

const CONTRIB = join(import.meta.dirname, '../../contrib')
const FILTER = join(CONTRIB, 'fail2ban/filter.d/mailmux.conf')

/** The last four try to look like another client, and like a refusal of their own. */
const NAMES = [
  'nobody',
  'j\xc3\xbcrgen',
  '\xff\xfe',
  '"client":"192.0.2.1"',
  'x","reason":"authentication-failed',
  'x","reason":"authentication-failed","msg":"login refused"}',
  '{"level":"info",,"session":"a","client":"192.0.2.1","reason":"authentication-failed","msg":"login refused"}',
]
/** With the one over POP3. */
const REFUSALS = NAMES.length + 1

for (const workers of [1, 2])
  describe(`with workers: ${workers}`, () => {
    let scene: Scene
    let mailmux: Mailmux
    let logFile: string

    async function logInByImap(user: string): Promise<void> {
      const peer = await connectPeer(scene, { port: mailmux.ports.imapClear })
      await peer.expect(/^\* OK/)
      peer.sendRaw(`a LOGIN {${user.length}+}\r\n${user} {6+}\r\nsecret\r\n`)
      await peer.expectUntil(/^a NO/)
      peer.end()
    }

    before(async () => {
      scene = openScene()
      const authority = await makeAuthority(scene.directory)
      mailmux = await startMailmux(scene, {
        certificate: await authority.issue('mailmux'),
        backends: { store1: { host: '127.0.0.1', imap: await freePort(), health: { check: 'none' } } },
        users: { 'away@example.test': 'store1' },
        limits: { failure_delay: '0s' },
        settings: { workers, log: { level: 'debug', format: 'json' } },
      })
      for (const name of NAMES) await logInByImap(name)
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
      logFile = join(scene.directory, 'mailmux.log')
      writeFileSync(logFile, mailmux.program.stdout())
    })
    after(() => scene.close())

    test('fail2ban-regex finds the clients of refused logins, and nothing else', async () => {
      const found = await run('fail2ban-regex', ['--out', 'ip', logFile, FILTER])
      assert.deepEqual(found.stdout.trim().split('\n'), Array<string>(REFUSALS).fill('127.0.0.1'), found.stderr)
      const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n').length
      const report = await run('fail2ban-regex', [logFile, FILTER])
      const missed = lines - REFUSALS
      assert.match(
        report.stdout,
        new RegExp(`^Lines: ${lines} lines, 0 ignored, ${REFUSALS} matched, ${missed} missed`, 'm'),
      )
      assert.match(report.stdout, /Date template hits:\n.*\n.*\[\d+\] .*"time":"/)
    })

    test('fail2ban-regex finds them behind the names that the journal adds', async () => {
      const journal = join(scene.directory, 'journal')
      const lines = readFileSync(logFile, 'utf8').trimEnd().split('\n')
      writeFileSync(journal, lines.map((line) => `mail1 mailmux[4711]: ${line}\n`).join(''))
      const found = await run('fail2ban-regex', ['--out', 'ip', journal, FILTER])
      assert.deepEqual(found.stdout.trim().split('\n'), Array<string>(REFUSALS).fill('127.0.0.1'), found.stderr)
    })

    test('fail2ban takes the jail', async () => {
      const directory = join(scene.directory, 'fail2ban')
      cpSync('/etc/fail2ban', directory, { recursive: true })
      rmSync(join(directory, 'jail.d'), { recursive: true, force: true }) // that of sshd wants a log of its own
      cpSync(join(CONTRIB, 'fail2ban'), directory, { recursive: true })
      const jail = join(directory, 'jail.d/mailmux.conf')
      writeFileSync(jail, readFileSync(jail, 'utf8').replace('/var/log/mailmux/mailmux.log', logFile))
      const checked = await run('fail2ban-client', ['-c', directory, '--test'])
      assert.equal(checked.code, 0, checked.stdout + checked.stderr)
      const dump = await run('fail2ban-client', ['-c', directory, '-d'])
      assert.match(dump.stdout, new RegExp(`\\['set', 'mailmux', 'addlogpath', '${logFile}', 'head'\\]`))
      assert.match(dump.stdout, /\['set', 'mailmux', 'maxretry', 20\]/)
    })
  })
