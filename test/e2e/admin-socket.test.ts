/** The Unix socket of the admin API of real processes: commands need no token there, and it outlives upgrades and replacements. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, lstatSync, readdirSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { setTimeout as pass } from 'node:timers/promises'
import { makeAuthority } from '../support/certificates.ts'
import { MAIN } from '../support/command.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { watchGenerations, type Generations } from '../support/generations.ts'
import { startMailmux, type Mailmux } from '../support/mailmux.ts'
import { startProgram } from '../support/processes.ts'
import { run } from '../support/run.ts'
import { lacks, MAILMUX_RUNTIME } from '../support/runtime.ts'
import { openScene, type Scene } from '../support/scene.ts'

if (lacks('passingPorts')) process.exit(0)

let scene: Scene
let mailmux: Mailmux
let generations: Generations
let socket: string

before(async () => {
  scene = openScene()
  const certificate = await (await makeAuthority(scene.directory)).issue('mailmux')
  mailmux = await startMailmux(scene, {
    certificate,
    backends: { store1: { host: '127.0.0.1', imap: 1, pop3: 1 } },
    settings: { workers: 2 },
    adminSocket: 'admin.sock',
    limits: { shutdown_grace: '5s' },
  })
  generations = watchGenerations(scene, mailmux)
  socket = join(scene.directory, 'admin.sock')
})
after(() => scene.close())

const command = (...args: string[]) =>
  run(MAILMUX_RUNTIME, [MAIN, ...args, '-c', mailmux.configFile], { ms: START_DEADLINE_MS })

/** Connects without a pause until it is stopped. @returns the number of connections, and of failures */
function watchSocket(): () => Promise<{ accepted: number; failed: number }> {
  const stopping = new AbortController()
  const counts = { accepted: 0, failed: 0 }
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      const client = connect({ path: socket })
      const accepted = await Promise.race([
        once(client, 'connect').then(() => true),
        once(client, 'error').then(() => false),
      ]).catch(() => false)
      client.destroy()
      counts[accepted ? 'accepted' : 'failed']++
      await pass(1)
    }
  })()
  return async () => {
    stopping.abort()
    await watching
    return counts
  }
}

test('lets commands operate without a token, and records them', async () => {
  assert.equal(lstatSync(socket).mode & 0o777, 0o660)
  const reload = await command('reload')
  assert.deepEqual([reload.code, reload.stderr], [0, ''])
  const line = await mailmux.waitForLog(({ msg }) => msg === 'reload requested by operator', 'the order')
  assert.equal(line.peer, 'socket')
  assert.equal((await command('health')).code, 0)
  const named = await command('sessions', '--admin', `unix:${socket}`, '--json')
  assert.deepEqual([named.code, named.stderr], [0, ''])
  const http = await command('reload', '--admin', `127.0.0.1:${mailmux.ports.admin}`)
  assert.deepEqual([http.code, /needs admin\.token_file/.test(http.stderr)], [2, true])
})

test('accepts all the time while a new version takes over, and after it', async () => {
  const before = lstatSync(socket).ino
  const watched = watchSocket()
  const { code, stderr } = await generations.upgrade()
  assert.deepEqual([code, stderr], [0, ''])
  await generations.ended(1)
  const { accepted, failed } = await watched()
  assert.ok(accepted > 0 && failed === 0, `${accepted} accepted, ${failed} failed`)
  assert.notEqual(lstatSync(socket).ino, before)
  assert.equal((await command('reload')).code, 0)
})

test('follows a reload to another path', async () => {
  const old = await readFile(mailmux.configFile, 'utf8')
  await writeFile(mailmux.configFile, old.replace('socket: admin.sock', 'socket: other.sock'))
  const other = join(scene.directory, 'other.sock')
  await until(
    START_DEADLINE_MS,
    () => (existsSync(other) && !existsSync(socket)) || undefined,
    () => 'no new socket',
  )
  assert.equal((await command('reload')).code, 0)
  await writeFile(mailmux.configFile, old)
  await until(
    START_DEADLINE_MS,
    () => (existsSync(socket) && !existsSync(other)) || undefined,
    () => 'no old socket',
  )
})

test('is replaced by a process that takes the place of this one, which asks over the socket', async () => {
  const before = lstatSync(socket).ino
  const args = [MAIN, 'run', '--replace', '-c', mailmux.configFile]
  const other = startProgram(scene, { name: 'the other mailmux', command: MAILMUX_RUNTIME, args })
  await other.waitForLine((line) => line.includes('"msg":"ready"'), 3 * START_DEADLINE_MS, 'its readiness')
  await generations.ended(2)
  assert.notEqual(lstatSync(socket).ino, before)
  assert.equal((await command('reload')).code, 0)
  const { code, stderr } = await command('sessions', '--admin', `127.0.0.1:${mailmux.ports.admin}`)
  assert.deepEqual([code, stderr], [0, ''])
  process.kill(other.pid, 'SIGTERM')
  assert.equal((await other.exited).code, 0)
  assert.deepEqual(
    readdirSync(scene.directory).filter((name) => name.includes('.sock') || name.startsWith('.a')),
    [],
  )
})

test('says where it has looked, with an exit code of its own, where no mailmux runs', async () => {
  const { code, stdout, stderr } = await command('sessions')
  assert.deepEqual(
    [code, stdout, stderr],
    [
      69,
      '',
      `mailmux sessions: no mailmux answers at ${socket} or 127.0.0.1:${mailmux.ports.admin}; start one with: mailmux run -c ${mailmux.configFile}\n`,
    ],
  )
})

test('is opened again by a mailmux whose predecessor was killed', async () => {
  const args = [MAIN, 'run', '-c', mailmux.configFile]
  const start = async () => {
    const program = startProgram(scene, { name: 'mailmux', command: MAILMUX_RUNTIME, args })
    await program.waitForLine((line) => line.includes('"msg":"ready"'), 3 * START_DEADLINE_MS, 'its readiness')
    return program
  }
  const killed = await start()
  process.kill(killed.pid, 'SIGKILL')
  await killed.exited
  assert.ok(existsSync(socket))
  assert.equal((await command('sessions')).code, 69)
  const next = await start()
  assert.equal((await command('sessions')).code, 0)
  process.kill(next.pid, 'SIGTERM')
  assert.equal((await next.exited).code, 0)
  assert.equal(existsSync(socket), false)
})
