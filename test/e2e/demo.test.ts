/** `make demo` from a checkout that other users may not enter, as root and as an ordinary user: mail is served, and nothing is left behind. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { within } from '../support/deadline.ts'
import { isFree } from '../support/ports.ts'
import { waitUntilEnded, listProcesses } from '../support/process-tree.ts'
import { startProgram } from '../support/processes.ts'
import { run } from '../support/run.ts'
import { openScene, type Scene } from '../support/scene.ts'

const root = join(import.meta.dirname, '../..')
const isRoot = process.getuid?.() === 0
const NOBODY = 65_534
/** without an offset */
const DEMO_PORTS = [
  ...[1110, 1143, 1993, 1995, 4190, 9143], // mailmux
  ...[11_110, 11_143, 11_224, 14_190],
  ...[12_110, 12_143, 12_224, 15_190],
  ...[13_110, 13_143, 13_224, 16_190],
  ...[2110, 2143, 2993, 2995, 5190, 10_143, 16_379], // with Redis and a second instance
]
/** Three Dovecots and mailmux start at once, on two cores that may be busy. */
const DEADLINE_MS = 90_000
/** Debian's PATH for users other than root: without /usr/sbin, where Dovecot is */
const ORDINARY_PATH = '/usr/local/bin:/usr/bin:/bin'

/** A checkout of mode 0700 with the program and its packages, and a Node that its owner may run. */
let checkout: string
let node: string
/** where the demo may leave nothing */
let temporary: string
let scene: Scene
before(() => {
  scene = openScene()
  temporary = join(scene.directory, 'tmp')
  mkdirSync(temporary)
  chmodSync(temporary, 0o1777)
  checkout = mkdtempSync(join(tmpdir(), 'mailmux-checkout-'))
  for (const part of ['src', 'test/demo', 'test/support', 'package.json', 'contrib/dsync-move'])
    cpSync(join(root, part), join(checkout, part), { recursive: true })
  const packages = execFileSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], { cwd: root, encoding: 'utf8' })
  for (const path of packages.trim().split('\n').slice(1))
    cpSync(path, join(checkout, path.slice(root.length)), { recursive: true })
  node = join(checkout, 'node')
  cpSync(process.execPath, node)
})
after(async () => {
  await scene.close()
  rmSync(checkout, { recursive: true, force: true })
})

/**
 * The demo's ports lie between 1110 and 16379, and the ports that the tests hand out between 20000 and 31999: with an offset below 3600 the
 * two never meet. The demo itself reports which of its ports is taken.
 */
async function freeOffset(): Promise<number> {
  for (let offset = 1000 + ((process.pid * 7) % 2000); offset < 3600; offset += 13)
    if ((await Promise.all(DEMO_PORTS.map((port) => isFree(port + offset)))).every(Boolean)) return offset
  throw new Error('the ports of the demo are taken with each offset')
}

async function serves(command: string, options: string[], path = process.env.PATH): Promise<void> {
  const offset = await freeOffset()
  const demo = startProgram(scene, {
    name: 'demo',
    command,
    args: [...options, node, 'test/demo/demo.ts'],
    cwd: checkout,
    env: { ...process.env, PATH: path, DEMO_PORT_OFFSET: String(offset), HOME: checkout, TMPDIR: temporary },
  })
  await demo.waitForLine((line) => line.startsWith('Ctrl-C stops everything'), DEADLINE_MS, 'its readiness')
  const lines = demo.stdout().split('\n')
  const commands = lines.filter((line) => line.startsWith('  curl --cacert'))
  assert.equal(commands.length, 4)
  for (const line of commands) {
    const [, user = ''] = /--user (\w+)@/.exec(line) ?? []
    const store = { alice: 'store1', bob: 'store2', carol: 'store3' }[user]
    const { code, stdout, stderr } = await run('sh', ['-c', `cd ${checkout} && ${line}`])
    assert.equal(code, 0, `${line}\n${stderr}\n${demo.stdout()}`)
    assert.match(stdout, new RegExp(`This mailbox lives on ${store}\\.`))
  }
  const sieve = lines.find((line) => line.startsWith('  sieve-connect'))
  assert.ok(sieve)
  const listed = await run('sh', ['-c', `cd ${checkout} && echo secret | ${sieve} --passwordfd 0`])
  assert.equal(listed.code, 0, `${sieve}\n${listed.stderr}\n${demo.stdout()}`)
  // An order of an operator, which needs a token.
  const config = '.demo/static/mailmux.yaml'
  const ordered = await run('sh', ['-c', `cd ${checkout} && ${node} src/main.ts sessions end --all -c ${config}`])
  assert.equal(ordered.code, 0, `${ordered.stderr}\n${demo.stdout()}`)
  const processes = listProcesses(demo.pid)
  assert.ok(processes.length > 4)
  demo.signal('SIGINT')
  const { code } = await within(DEADLINE_MS, demo.exited, () => 'it does not end')
  assert.equal(code, 0, demo.stderr())
  await waitUntilEnded(processes) // Dovecot's own processes end a moment after their master
  assert.deepEqual(readdirSync(temporary), [])
}

test('in a folder that others may not enter, with any umask', async () => {
  assert.equal(statSync(checkout).mode & 0o777, 0o700)
  await serves('sh', ['-c', 'umask 077; exec "$@"', 'sh'])
  await serves('env', []) // uses again what the first run has made
})

test('two instances with Redis: the drain and the move that it prints work, and the page is there', async () => {
  const offset = await freeOffset()
  const env = {
    DEMO_PORT_OFFSET: String(offset),
    HOME: checkout,
    TMPDIR: temporary,
    INSTANCES: '2',
    DIRECTORY: 'redis',
  }
  const demo = startProgram(scene, {
    ...{ name: 'demo', command: node, args: ['test/demo/demo.ts'], cwd: checkout },
    env: { ...process.env, ...env },
  })
  await demo.waitForLine((line) => line.startsWith('Ctrl-C stops everything'), DEADLINE_MS, 'its readiness')
  const lines = demo.stdout().split('\n')
  const printed = (start: string): string => {
    const line = lines.find((line) => line.startsWith(`  ${start}`))
    assert.ok(line !== undefined, start)
    return line
  }
  const shell = async (command: string): Promise<string> => {
    const { code, stdout, stderr } = await run('sh', ['-c', `cd ${checkout} && ${command}`])
    assert.equal(code, 0, `${command}\n${stdout}${stderr}\n${demo.stdout()}`)
    return stdout
  }
  assert.match(await shell(printed('.demo/mailmux instances')), /^2 instances$/m)

  const session = startProgram(scene, {
    name: 'bob',
    command: 'sh',
    args: ['-c', `cd ${checkout} && ${printed('(echo')}`],
  })
  await session.waitForLine((line) => line.startsWith('b OK'), DEADLINE_MS, 'the session')
  assert.match(await shell(printed('.demo/mailmux sessions')), /^bob@example\.test/m)
  await shell(printed('.demo/mailmux backend drain store2'))
  await shell(printed('.demo/mailmux wait store2 --empty'))
  assert.match(session.stdout(), /^\* BYE \[UNAVAILABLE\] Maintenance/m)
  await shell(printed('.demo/mailmux backend up store2'))

  await shell(printed('rm -r '))
  await shell(printed('DSYNC_MOVE_CONF='))
  assert.match(await shell(printed('.demo/mailmux explain')), /OK: a login goes to store2/)

  const page = lines.find((line) => line.startsWith('The page: '))?.split(/ +/)[2] ?? ''
  const { status, headers } = await fetch(page)
  assert.deepEqual([status, headers.get('content-type')?.split(';')[0]], [200, 'text/html'])
  demo.signal('SIGINT')
  assert.equal((await within(DEADLINE_MS, demo.exited, () => 'it does not end')).code, 0)
})

test('as an ordinary user', async () => {
  if (!isRoot) return serves('env', [], ORDINARY_PATH)
  rmSync(join(checkout, '.demo'), { recursive: true })
  execFileSync('chown', ['-R', `${NOBODY}:${NOBODY}`, checkout])
  const setpriv = ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups', '--']
  await serves('setpriv', setpriv, ORDINARY_PATH)
  await serves('setpriv', setpriv, ORDINARY_PATH)
})

test('prints in one line that files of another user are in the way', async () => {
  if (!isRoot) return // nothing is in root's way, and others cannot make what is in theirs
  execFileSync('chown', ['-R', '0:0', checkout])
  execFileSync('chmod', ['755', checkout])
  mkdirSync(join(checkout, '.demo'), { recursive: true })
  const setpriv = ['--reuid', String(NOBODY), '--regid', String(NOBODY), '--clear-groups', '--']
  const { code, stderr } = await run('setpriv', [...setpriv, node, join(checkout, 'test/demo/demo.ts')])
  assert.equal(code, 1)
  assert.match(stderr, /^demo: EACCES: permission denied, .*\n$/)
})
