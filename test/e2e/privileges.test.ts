/** A mailmux that root starts, and that drops to another user. Without root there is nothing to drop, and only the refusals are tested. */
import assert from 'node:assert/strict'
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { makeAuthority, type Leaf } from '../support/certificates.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import {
  launchMailmux,
  startMailmux,
  writeConfiguration,
  type Mailmux,
  type MailmuxPorts,
  type YamlMap,
} from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { listProcesses } from '../support/process-tree.ts'
import { startProgram } from '../support/processes.ts'
import { run } from '../support/run.ts'
import { copyProgram, openProgram, type RunnableProgram } from '../support/open-program.ts'
import { lacks } from '../support/runtime.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { connectPeer } from '../support/scripted-peer.ts'

if (lacks('boundSocket')) process.exit(0)

const IS_ROOT = process.getuid?.() === 0
/** On every Debian; its group has another name. */
const USER = 'nobody'
const GROUP = 'nogroup'

let scene: Scene
let certificate: Leaf
let mailmuxProgram: RunnableProgram
before(() => {
  mailmuxProgram = openProgram()
})
after(() => mailmuxProgram.remove())
beforeEach(async () => {
  scene = openScene()
  certificate = await (await makeAuthority(scene.directory)).issue('mailmux')
})
afterEach(() => scene.close())

async function numberOf(what: '-u' | '-g'): Promise<number> {
  return Number((await run('id', [what, USER])).stdout)
}

/** Settings of a mailmux whose key only root can read, and whose log only the user can write. */
async function settingsFor(workers: number): Promise<YamlMap> {
  const log = join(scene.directory, 'log')
  mkdirSync(log, { mode: 0o750 })
  chownSync(log, await numberOf('-u'), await numberOf('-g'))
  chmodSync(certificate.keyFile, 0o600)
  chownSync(certificate.keyFile, 0, 0)
  return { workers, user: USER }
}

const start = async (settings: YamlMap): Promise<Mailmux> =>
  startMailmux(scene, {
    certificate,
    backends: {
      store1: { host: '127.0.0.1', imap: await freePort(), pop3: await freePort(), health: { check: 'none' } },
    },
    users: { 'a@example.test': 'store1' },
    settings,
    program: mailmuxProgram,
  })

async function writeFiles(settings: YamlMap): Promise<{ configFile: string }> {
  const [imap, imaps, imapClear, pop3, pop3s, pop3Clear, admin] = await Promise.all(Array.from({ length: 7 }, freePort))
  return writeConfiguration(scene, { imap, imaps, imapClear, pop3, pop3s, pop3Clear, admin } as MailmuxPorts, {
    certificate,
    backends: { store1: { host: '127.0.0.1', imap: await freePort(), health: { check: 'none' } } },
    settings,
  })
}

const untilIn = (file: string, text: string): Promise<true> =>
  until(
    3 * START_DEADLINE_MS,
    () => (existsSync(file) && readFileSync(file, 'utf8').includes(text)) || undefined,
    () => `no ${text} in ${file}`,
  )

/** A line of /proc/PID/status: the real, effective and saved id, and that for files. */
const identities = (pid: string, name: 'Uid' | 'Gid'): number[] =>
  new RegExp(`^${name}:\\t(.*)$`, 'm')
    .exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]
    ?.split('\t')
    .map(Number) ?? []

if (IS_ROOT) {
  for (const workers of [1, 2])
    test(`no process is root any more, and the key that only root can read is in use (workers: ${workers})`, async () => {
      const mailmux = await start(await settingsFor(workers))
      const [uid, gid] = [await numberOf('-u'), await numberOf('-g')]
      const pids = listProcesses(mailmux.pid)
      assert.ok(pids.length >= (workers === 1 ? 1 : 3))
      for (const pid of pids) {
        assert.deepEqual(identities(pid, 'Uid'), [uid, uid, uid, uid])
        assert.deepEqual(identities(pid, 'Gid'), [gid, gid, gid, gid])
        const groups = /^Groups:\t(.*)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]?.trim()
        assert.equal(groups, (await run('id', ['-G', USER])).stdout.trim())
        assert.match(readFileSync(`/proc/${pid}/status`, 'utf8'), /^CapEff:\t0+$/m)
      }
      for (const port of [mailmux.ports.imapClear, mailmux.ports.pop3Clear]) {
        const peer = await connectPeer(scene, { port })
        await peer.expect(/^(\* OK|\+OK)/)
        peer.destroy()
      }
      const handshake = await run('openssl', ['s_client', '-connect', `127.0.0.1:${mailmux.ports.imaps}`], {
        input: '',
      })
      assert.match(handshake.stdout, /BEGIN CERTIFICATE/)
      assert.ok((await mailmux.metrics()).includes('mailmux_build_info'))
      const warnings = mailmux.log().filter(({ msg }) => msg === 'a reload cannot read this file')
      assert.deepEqual(
        warnings.map(({ file, user }) => [file, user]),
        [[certificate.keyFile, USER]],
      )
      assert.ok(!mailmux.log().some(({ msg }) => msg === 'mailmux runs as root'))

      // A reload reads as the user: with the key out of reach nothing changes, and with the key in reach it succeeds.
      mailmux.program.signal('SIGHUP')
      const refused = await mailmux.waitForLog(({ msg }) => msg === 'configuration not taken over', 'the refusal')
      assert.match(String(refused.problem), /may not be read by this user$/)
      chmodSync(certificate.keyFile, 0o644)
      mailmux.program.signal('SIGHUP')
      await mailmux.waitForLog(({ msg }) => msg === 'configuration taken over', 'the reload')
      const peer = await connectPeer(scene, { port: mailmux.ports.imapClear })
      await peer.expect(/^\* OK/)
      peer.destroy()
      await mailmux.stop()
    })

  test('the log file belongs to the user, and is opened anew', async () => {
    const file = join(scene.directory, 'log/mailmux.log')
    const settings = { ...(await settingsFor(2)), group: GROUP, log: { level: 'info', file } }
    const { configFile } = await writeFiles(settings)
    const program = launchMailmux(scene, configFile, undefined, { program: mailmuxProgram })
    const waitFor = (text: string) => untilIn(file, text)
    await waitFor('"msg":"ready"')
    renameSync(file, `${file}.1`)
    program.signal('SIGUSR1')
    await waitFor('log file reopened')
    assert.equal((await run('stat', ['-c', '%U:%G %a', file])).stdout, `${USER}:${GROUP} 640\n`)
    assert.deepEqual(await program.stop(), { code: 0, signal: null })
  })

  for (const [what, settings, message] of [
    ['a user that does not exist', { user: 'no-such-user' }, 'user: there is no user no-such-user on this machine'],
    [
      'a group that does not exist',
      { user: USER, group: 'no-such-group' },
      'group: there is no group no-such-group on this machine',
    ],
    [
      'a log that the user may not write',
      { user: USER, log: { file: 'root-only/mailmux.log' } },
      /^log\.file: cannot write to .*\/root-only\/mailmux\.log: EACCES$/,
    ],
  ] as const)
    test(`${what} ends the start`, async () => {
      mkdirSync(join(scene.directory, 'root-only'), { mode: 0o755 })
      const { configFile } = await writeFiles(settings)
      const program = launchMailmux(scene, configFile, undefined, { program: mailmuxProgram })
      assert.deepEqual(await program.exited, { code: 1, signal: null })
      assert.match(program.stderr(), /^mailmux: .*\n$/)
      const text = program.stderr().slice('mailmux: '.length, -1)
      if (typeof message === 'string') assert.equal(text, message)
      else assert.match(text, message)
    })

  test('a user that cannot read the program ends the start', async () => {
    const copy = copyProgram()
    try {
      chmodSync(join(dirname(copy.main), 'supervisor'), 0o700)
      const { configFile } = await writeFiles({ user: USER })
      const program = launchMailmux(scene, configFile, undefined, { program: copy })
      assert.deepEqual(await program.exited, { code: 1, signal: null })
      assert.match(
        program.stderr(),
        /^mailmux: user: nobody cannot read the program .*\/src\/supervisor\/.*: EACCES\n$/,
      )
    } finally {
      copy.remove()
    }
  })

  test('warns that it stays root', async () => {
    const mailmux = await start({ workers: 1 })
    await mailmux.waitForLog(({ msg }) => msg === 'mailmux runs as root', 'the warning')
    await mailmux.stop()
  })

  test('a changed user needs a restart', async () => {
    const mailmux = await start({ workers: 1, user: USER })
    const changed = parse(readFileSync(mailmux.configFile, 'utf8')) as YamlMap
    chmodSync(certificate.keyFile, 0o644)
    writeFileSync(mailmux.configFile, stringify({ ...changed, user: 'daemon' }))
    mailmux.program.signal('SIGHUP')
    const line = await mailmux.waitForLog(({ msg }) => msg.includes('next restart'), 'the warning')
    assert.deepEqual(line.restart, ['user'])
    await mailmux.stop()
  })
}

test('without root it becomes no other user, and is content with its own', async () => {
  const { configFile } = await writeFiles({ user: 'daemon' })
  chmodSync(certificate.keyFile, 0o644)
  const asUser: string[] = IS_ROOT ? ['setpriv', `--reuid=${USER}`, `--regid=${GROUP}`, '--clear-groups'] : []
  const launch = {
    name: 'mailmux',
    command: 'env',
    args: [...asUser, mailmuxProgram.runtime, mailmuxProgram.main, 'run', '-c', configFile],
  }
  const refused = startProgram(scene, launch)
  assert.deepEqual(await refused.exited, { code: 1, signal: null })
  assert.match(refused.stderr(), /^mailmux: user: only root can become daemon/m)

  const own = IS_ROOT ? USER : (await run('id', ['-un'])).stdout.trim()
  await writeFiles({ user: own })
  const served = startProgram(scene, launch)
  await served.waitForLine((line) => line.includes('"msg":"ready"'), START_DEADLINE_MS, 'its readiness')
  assert.deepEqual(await served.stop(), { code: 0, signal: null })
})
