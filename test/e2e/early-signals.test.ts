/** Signals that come while mailmux starts: SIGHUP is a reload, SIGTERM and SIGINT end it in good order. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { MAIN } from '../support/command.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import {
  freeMailmuxPorts,
  launchMailmux,
  type MailmuxPorts,
  writeConfiguration,
  type YamlMap,
} from '../support/mailmux.ts'
import { isFree } from '../support/ports.ts'
import { waitUntilEnded, listProcesses } from '../support/process-tree.ts'
import { type Program, startProgram } from '../support/processes.ts'
import { lacks, MAILMUX_RUNTIME } from '../support/runtime.ts'
import { openScene, type Scene } from '../support/scene.ts'

const onNode = { expectFailure: lacks('registerHooks') }

let scene: Scene
beforeEach(() => {
  scene = openScene()
})
afterEach(() => scene.close())

/** Accepts, and never says a word: mailmux waits two seconds for such a directory and such a back end before it is ready. */
async function openSilent(): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => sockets.add(socket.on('error', () => undefined)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  scene.closeLater(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

type Starting = { program: Program; ports: MailmuxPorts; routingFile: string }

async function freePorts(): Promise<MailmuxPorts> {
  return await freeMailmuxPorts()
}

/** mailmux on its way to be ready: its admin port answers, and it serves nobody yet. */
async function launch(workers: number): Promise<Starting> {
  const ports = await freePorts()
  const authority = await makeAuthority(scene.directory)
  const silent = await openSilent()
  const settings: YamlMap = { workers }
  const { configFile, routingFile } = await writeConfiguration(scene, ports, {
    certificate: await authority.issue('mailmux'),
    backends: { store1: { host: '127.0.0.1', imap: silent, pop3: silent } },
    directory: { redis: { url: `redis://127.0.0.1:${silent}`, timeout: '500ms' } },
    settings,
  })
  const program = launchMailmux(scene, configFile)
  await until(
    START_DEADLINE_MS,
    async () => {
      const ready = await fetch(`http://127.0.0.1:${ports.admin}/readyz`).catch(() => undefined)
      if (ready === undefined) return undefined
      assert.equal(ready.status, 503, 'it was ready before the test could act')
      return true
    },
    () => `the admin port does not answer:\n${program.stdout()}${program.stderr()}`,
  )
  return { program, ports, routingFile }
}

for (const workers of [1, 2]) {
  for (const signal of ['SIGTERM', 'SIGINT'] as const)
    test(`${signal} before it is ready ends it with 0 (workers: ${workers})`, async () => {
      const { program, ports } = await launch(workers)
      const processes = listProcesses(program.pid)
      program.signal(signal)
      assert.deepEqual(await program.exited, { code: 0, signal: null }, program.stdout() + program.stderr())
      assert.match(program.stdout(), /"msg":"stopped"/)
      assert.doesNotMatch(program.stdout(), /"msg":"ready"/)
      for (const [name, port] of Object.entries(ports)) assert.ok(await isFree(port), `${name} is still bound`)
      await waitUntilEnded(processes)
    })

  test(`SIGHUP before it is ready reads the files again, and it becomes ready (workers: ${workers})`, async () => {
    const { program, routingFile } = await launch(workers)
    await writeFile(routingFile, 'backends: {store2: {host: 127.0.0.1, imap: 1, pop3: 1}}\n')
    program.signal('SIGHUP')
    await program.waitForLine((line) => line.includes('"configuration taken over"'), START_DEADLINE_MS, 'the reload')
    await program.waitForLine((line) => line.includes('"msg":"ready"'), START_DEADLINE_MS, 'its readiness')
    assert.deepEqual(await program.stop(), { code: 0, signal: null })
  })
}

/** Has Node stop where it loads mailmux's own modules, say so on standard output, and go on once a file is there. */
function loaderThatWaitsFor(file: string): string {
  const hook = `
    import { registerHooks } from 'node:module'
    import { existsSync, writeSync } from 'node:fs'
    registerHooks({ load(url, context, next) {
      if (url.endsWith('/src/app.ts')) {
        writeSync(1, 'loading\\n')
        while (!existsSync(${JSON.stringify(file)})) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20)
      }
      return next(url, context)
    } })`
  return `--import=data:text/javascript,${encodeURIComponent(hook)}`
}

for (const [signal, wanted] of [
  ['SIGHUP', 'ready'],
  ['SIGUSR1', 'ready'],
  ['SIGTERM', 'the end'],
  ['SIGINT', 'the end'],
] as const)
  test(`${signal} while its modules are loaded leads to ${wanted}`, onNode, async () => {
    const ports = await freePorts()
    const authority = await makeAuthority(scene.directory)
    const { configFile } = await writeConfiguration(scene, ports, {
      certificate: await authority.issue('mailmux'),
      backends: { store1: { host: '127.0.0.1', imap: 1, pop3: 1, health: { check: 'none' } } },
      settings: { workers: 1 },
    })
    const go = join(scene.directory, 'go')
    const program = startProgram(scene, {
      name: 'mailmux',
      command: MAILMUX_RUNTIME,
      args: [loaderThatWaitsFor(go), MAIN, 'run', '-c', configFile],
    })
    await program.waitForLine((line) => line === 'loading', START_DEADLINE_MS, 'its modules')
    program.signal(signal)
    await writeFile(go, '')
    if (wanted === 'ready') {
      await program.waitForLine((line) => line.includes('"msg":"ready"'), START_DEADLINE_MS, 'its readiness')
      assert.deepEqual(await program.stop(), { code: 0, signal: null })
      assert.equal(program.stderr(), '') // Node would report its port for debuggers
    } else assert.deepEqual(await program.exited, { code: 0, signal: null })
  })
