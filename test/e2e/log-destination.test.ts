/** A log that cannot be written: the mail service goes on, health checks and signals are answered, and the log goes on when it can. */
import assert from 'node:assert/strict'
import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import fs from 'node:fs'
import { join } from 'node:path'
import { connect } from 'node:net'
import { afterEach, beforeEach, describe, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS, until, within } from '../support/deadline.ts'
import { type MailmuxPorts, writeConfiguration } from '../support/mailmux.ts'
import { NODE_OF_COMMAND, MAIN } from '../support/command.ts'
import { freePort } from '../support/ports.ts'
import { openScene, type Scene } from '../support/scene.ts'

const DEADLINE_MS = 20_000
const { O_RDONLY, O_WRONLY, O_NONBLOCK, O_APPEND, O_CREAT } = fs.constants

let scene: Scene
let ports: MailmuxPorts
beforeEach(() => (scene = openScene()))
afterEach(() => scene.close())

type Format = 'json' | 'pretty'

async function configure(workers: number, format: Format): Promise<string> {
  const [imap, imaps, imapClear, pop3, pop3s, pop3Clear, admin] = await Promise.all(Array.from({ length: 7 }, freePort))
  ports = { imap, imaps, imapClear, pop3, pop3s, pop3Clear, admin } as MailmuxPorts
  const authority = await makeAuthority(scene.directory)
  const { configFile } = await writeConfiguration(scene, ports, {
    certificate: await authority.issue('mailmux'),
    backends: { store1: { host: '127.0.0.1', imap: await freePort(), health: { check: 'none' } } },
    settings: { workers, log: { level: 'info', format } },
  })
  return configFile
}

/** mailmux with its standard output as the caller has opened it. */
async function start(configFile: string, stdout: number, env: NodeJS.ProcessEnv = {}): Promise<ChildProcess> {
  const [node = '', ...options] = NODE_OF_COMMAND
  const child = spawn(node, [...options, MAIN, 'run', '-c', configFile], {
    stdio: ['ignore', stdout, 'pipe'],
    env: { ...process.env, ...env },
  })
  scene.closeLater(() => void child.kill('SIGKILL'))
  await ready()
  return child
}

const get = (path: string): Promise<string | undefined> =>
  fetch(`http://127.0.0.1:${ports.admin}${path}`).then(
    (response) => (response.ok ? response.text() : undefined),
    () => undefined,
  )

const ready = (): Promise<string> =>
  until(
    START_DEADLINE_MS * 3,
    () => get('/readyz'),
    () => 'not ready',
  )

/** A client that logs out: one line of the log. */
async function visit(): Promise<void> {
  const socket = connect(ports.imap, '127.0.0.1')
  let text = ''
  socket.setEncoding('latin1').on('data', (chunk: string) => (text += chunk))
  socket.write('a LOGOUT\r\n')
  await within(DEADLINE_MS, once(socket, 'close'), () => `a client was not served: ${text}`)
  assert.match(text, /^\* OK .*\r\n\* BYE .*\r\na OK /s)
}

async function visits(count: number): Promise<void> {
  const go = async (): Promise<void> => {
    while (count-- > 0) await visit()
  }
  await Promise.all(Array.from({ length: 16 }, go))
}

async function serves(): Promise<void> {
  await visits(50)
  assert.equal((await within(DEADLINE_MS, get('/livez'), () => '/livez hangs'))?.trim(), 'ok')
}

async function stop(child: ChildProcess, pid = child.pid ?? 0): Promise<void> {
  process.kill(pid, 'SIGTERM')
  const [code, signal] = (await within(DEADLINE_MS, once(child, 'exit'), () => 'SIGTERM does not end it')) as unknown[]
  assert.deepEqual([code, signal], [0, null])
}

/** A pipe that is read only when the test says so. */
function makePipe() {
  const fifo = join(scene.directory, 'pipe')
  execFileSync('mkfifo', [fifo])
  const reader = fs.openSync(fifo, O_RDONLY | O_NONBLOCK)
  const writer = fs.openSync(fifo, O_WRONLY)
  let text = ''
  const read = (): string => {
    const buffer = Buffer.alloc(1024 * 1024)
    try {
      for (;;) {
        const count = fs.readSync(reader, buffer)
        if (count === 0) return text
        text += buffer.toString('utf8', 0, count)
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error
      return text
    }
  }
  const waitFor = (pattern: RegExp): Promise<RegExpExecArray> =>
    until(
      DEADLINE_MS,
      () => pattern.exec(read()) ?? undefined,
      () => `no ${String(pattern)} in ${text.slice(-500)}`,
    )
  return { writer, reader, read, waitFor }
}

const countEnds = (text: string): number => text.split('session ended').length - 1

for (const workers of [1, 2]) {
  describe(`with workers: ${workers}`, () => {
    for (const format of ['json', 'pretty'] as const) {
      test(`a pipe that is not read delays nothing, and has every line once it is read (${format})`, async () => {
        const pipe = makePipe()
        const child = await start(await configure(workers, format), pipe.writer)
        await visits(500) // more than the 64 KiB of a pipe
        await serves()
        await pipe.waitFor(/ready/)
        await until(
          DEADLINE_MS,
          () => countEnds(pipe.read()) >= 550 || undefined,
          () => 'lines are missing',
        )
        await stop(child)
        await pipe.waitFor(/stopped/)
        assert.equal(countEnds(pipe.read()), 550)
        for (const line of pipe.read().trimEnd().split('\n')) assert.match(line, format === 'json' ? /^\{.*\}$/ : /^\[/)
      })

      test(`a pipe that is never read does not keep it from ending (${format})`, async () => {
        const pipe = makePipe()
        const child = await start(await configure(workers, format), pipe.writer)
        await visits(500)
        await serves()
        await stop(child)
      })

      test(`a pipe whose reader has gone ends nothing (${format})`, async () => {
        const pipe = makePipe()
        const child = await start(await configure(workers, format), pipe.writer)
        fs.closeSync(pipe.writer)
        fs.closeSync(pipe.reader)
        await serves()
        await serves()
        await stop(child)
      })

      test(`a full disk ends nothing, and has every line once there is room (${format})`, async () => {
        const disk = await makeSmallDisk()
        const child = await start(await configure(workers, format), disk.log)
        await disk.fill(child)
        await serves()
        await serves()
        assert.ok(countEnds(disk.read()) < 100, 'the disk was not full')
        disk.makeRoom()
        await until(
          DEADLINE_MS,
          () => countEnds(disk.read()) === 100 || undefined,
          () => disk.read().slice(-500),
        )
        await disk.fill(child)
        await serves()
        await stop(child)
      })

      test(`a terminal that is closed ends nothing (${format})`, async () => {
        const configFile = await configure(workers, format)
        const terminal = await startInTerminal([...NODE_OF_COMMAND, MAIN, 'run', '-c', configFile])
        await serves()
        terminal.close()
        await serves()
        await serves()
        await stop(terminal.parent, terminal.pid)
      })
    }

    test('a crash leaves the last lines in the log and the stack on standard error', async () => {
      const crash = join(scene.directory, 'crash.mjs')
      fs.writeFileSync(crash, "process.on('SIGUSR2', () => { throw new Error('on purpose') })\n")
      const pipe = makePipe()
      const child = await start(await configure(workers, 'json'), pipe.writer, { NODE_OPTIONS: `--import=${crash}` })
      let stderr = ''
      child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text))
      await visits(20)
      if (workers === 1) {
        child.kill('SIGUSR2')
        const [code] = (await within(DEADLINE_MS, once(child, 'close'), () => 'it lives on')) as unknown[]
        assert.equal(code, 1)
      } else {
        for (const worker of [1, 2]) {
          const [, pid] = await pipe.waitFor(new RegExp(`"worker":${worker},"pid":(\\d+),.*"worker serves"`))
          process.kill(Number(pid), 'SIGUSR2')
        }
        await pipe.waitFor(/"cause":"exit code 1".*"worker ended"[^]*"worker ended"/)
        await stop(child)
      }
      assert.equal(countEnds(pipe.read()), 20)
      assert.equal(stderr.split('Error: on purpose').length - 1, workers)
    })
  })
}

/**
 * A file for the log on a disk that the test fills. Root mounts a disk of its own (ENOSPC); other users limit the size of files of the
 * process (EFBIG).
 */
async function makeSmallDisk() {
  const directory = join(scene.directory, 'disk')
  await fs.promises.mkdir(directory)
  const isRoot = process.getuid?.() === 0
  if (isRoot) {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', directory])
    scene.closeLater(() => void execFileSync('umount', ['--lazy', directory]))
  }
  const file = join(directory, 'log')
  const filler = join(directory, 'filler')
  const log = fs.openSync(file, O_WRONLY | O_APPEND | O_CREAT)
  scene.closeLater(() => fs.closeSync(log))
  const limited: string[] = []
  const limit = (size: string): void => {
    for (const pid of limited) execFileSync('prlimit', ['--pid', pid, `--fsize=${size}:`])
  }
  return {
    log,
    read: () => fs.readFileSync(file, 'utf8'),
    async fill(child: ChildProcess) {
      if (isRoot) {
        await assert.rejects(fs.promises.writeFile(filler, Buffer.alloc(1024 * 1024)), { code: 'ENOSPC' })
      } else {
        limited.push(
          String(child.pid),
          ...execFileSync('pgrep', ['-P', String(child.pid)])
            .toString()
            .trim()
            .split('\n'),
        )
        limit(String(fs.statSync(file).size))
      }
    },
    makeRoom: () => (isRoot ? fs.rmSync(filler) : limit('unlimited')),
  }
}

/** Python's pty module opens a terminal; it is closed when the program's standard input ends. */
const TERMINAL = `
import os, pty, sys, threading
pid, master = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
print(pid, flush=True)
def read():
    try:
        while os.read(master, 65536): pass
    except OSError: pass
threading.Thread(target=read, daemon=True).start()
sys.stdin.read()
os.close(master)
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
`

async function startInTerminal(command: readonly string[]) {
  const parent = spawn('python3', ['-c', TERMINAL, ...command], { stdio: ['pipe', 'pipe', 'inherit'] })
  const [text] = (await once(parent.stdout, 'data')) as [Buffer]
  const pid = Number(text.toString())
  scene.closeLater(() => {
    if (parent.exitCode === null) for (const one of [pid, parent.pid ?? 0]) process.kill(one, 'SIGKILL')
  })
  await ready()
  return { parent, pid, close: () => parent.stdin.end() }
}
