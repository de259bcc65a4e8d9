/** The Debian package in a Debian of its own: installed, started, upgraded, removed, purged, and read by lintian. */
import assert from 'node:assert/strict'
import { chmodSync, globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { asVersion, buildPackage, packArchive } from '../support/debian-package.ts'
import { type DebianRoot, openDebianRoot } from '../support/debian-root.ts'
import { run } from '../support/run.ts'
import { openScene, type Scene } from '../support/scene.ts'

const checkout = join(import.meta.dirname, '../..')
const { version } = JSON.parse(readFileSync(join(checkout, 'package.json'), 'utf8')) as {
  version: string
}
const PREVIOUS = '0.0.9'

let scene: Scene
let current: string
let previous: string
let archive: string
before(() => {
  scene = openScene()
  archive = packArchive(scene.directory)
  current = buildPackage(archive, join(scene.directory, 'current'))
  previous = buildPackage(asVersion(archive, PREVIOUS), join(scene.directory, 'previous'))
})
after(() => scene.close())

/** Runs a command that must succeed, and gives its output. */
async function must(root: DebianRoot, command: string): Promise<string> {
  const { code, stdout, stderr } = await root.shell(command)
  assert.equal(code, 0, `${command}\n${stdout}${stderr}`)
  return stdout + stderr
}

const install = (root: DebianRoot, file: string): Promise<string> => must(root, `dpkg --install ${root.bring(file)}`)

/** `mailmux run` as the unit starts it: as the user of the package. */
async function startMailmux(root: DebianRoot): Promise<void> {
  await must(root, `setpriv --reuid mailmux --regid mailmux --clear-groups mailmux run >/var/log/mailmux/log 2>&1 &`)
  await until(
    START_DEADLINE_MS,
    async () => ((await root.shell('mailmux health')).stdout === 'ok\n' ? true : undefined),
    () => 'mailmux is not healthy',
  )
}

/** As the Makefile brings it. */
const [BUN = ''] = globSync('.runtime/bun/node_modules/@oven/bun-linux-*/bin/bun', { cwd: checkout })

/** Every file and directory with its owner and mode, and the users and groups; not what dpkg and adduser keep for themselves. */
async function inventory(root: DebianRoot): Promise<string[]> {
  const text = await must(
    root,
    `find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /root -o -path /tmp -o -path /var/lib/dpkg -o -path /var/cache -o -path /var/log/dpkg.log -o -name '*-' \\) -prune -o -printf '%p %u:%g %m\\n' | sort; ls /run | grep -v adduser; cat /etc/passwd /etc/group`,
  )
  return text.split('\n')
}

test('a package with Bun takes the place of one with Node, checks, and serves with workers', async () => {
  assert.notEqual(BUN, '', 'make package-test brings Bun')
  const root = await openDebianRoot(scene, 'bun')
  await install(root, current)
  await install(root, buildPackage(archive, join(scene.directory, 'with-bun'), { bun: join(checkout, BUN) }))
  assert.match(await must(root, 'mailmux --version'), /^\S+ \(bun [\d.]+\)\n$/)
  assert.equal(await must(root, 'ls /usr/lib/mailmux/bin'), 'bun\n')
  await must(root, 'echo workers: 2 >>/etc/mailmux/mailmux.yaml && mailmux check')
  await startMailmux(root)
  assert.match(await must(root, 'cat /var/log/mailmux/log'), /"worker":2,.*"msg":"worker serves"/)
  assert.match(await must(root, 'mailmux instances'), new RegExp(` ${version} `))
})

test('an installed package serves at once: it checks, runs, is healthy and answers on its ports', async () => {
  const root = await openDebianRoot(scene, 'install')
  await install(root, current)
  assert.match(
    await must(root, 'mailmux --version'),
    new RegExp(`^${version.replaceAll('.', '\\.')} \\((node|bun) [\\d.]+\\)\n$`),
  )
  // The only warning says what the first configuration still lacks.
  assert.match(
    await must(root, 'mailmux check'),
    /warning: no users, no domains, .*: every login is refused\n[^]*OK \(4 listeners, 1 back end, 0 users, 1 warning\)\n$/,
  )
  assert.equal(
    await must(root, 'stat -c "%U:%G %a %n" /etc/mailmux/* /etc/mailmux /var/lib/mailmux /run/mailmux'),
    [
      'root:mailmux 640 /etc/mailmux/admin.token',
      'root:root 644 /etc/mailmux/mailmux.yaml',
      'root:root 644 /etc/mailmux/routing.yaml',
      'root:mailmux 640 /etc/mailmux/self-signed-key.pem',
      'root:mailmux 640 /etc/mailmux/self-signed.pem',
      'root:mailmux 750 /etc/mailmux',
      'mailmux:mailmux 750 /var/lib/mailmux',
      'mailmux:mailmux 750 /run/mailmux',
      '',
    ].join('\n'),
  )

  const unit = '/etc/systemd/system/multi-user.target.wants/mailmux.service'
  assert.match(await must(root, `readlink ${unit}`), /mailmux\.service/) // enabled, for a systemd that comes later

  await startMailmux(root)
  const login = (port: number, more: string) =>
    root.shell(
      `{ printf 'a login alice@example.test wrong\\n'; sleep 3; printf 'b logout\\n'; sleep 1; } | openssl s_client -quiet -connect 127.0.0.1:${port} ${more}`,
    )
  const [imaps, imap] = await Promise.all([login(1993, '-crlf'), login(1143, '-crlf -starttls imap')])
  for (const { stdout, stderr } of [imaps, imap]) {
    assert.match(stdout, /^a NO \[AUTHENTICATIONFAILED\]/m, stdout + stderr)
    assert.match(stdout, /^b OK/m, stdout)
  }
  assert.match((await root.shell('mailmux backend list')).stdout, /store1 +down/)
})

test('an upgrade keeps the configuration, and the new version takes over from the running one', async () => {
  const root = await openDebianRoot(scene, 'upgrade')
  await install(root, previous)
  await must(
    root,
    `echo '# mine' >> /etc/mailmux/routing.yaml && rm /etc/mailmux/self-signed.pem && cp /etc/mailmux/self-signed-key.pem /tmp/`,
  )
  await must(
    root,
    `openssl req -x509 -key /tmp/self-signed-key.pem -subj /CN=mine -out /etc/mailmux/self-signed.pem && chmod 644 /etc/mailmux/self-signed.pem`,
  )
  const before = await must(root, 'md5sum /etc/mailmux/*')
  await startMailmux(root)
  assert.match(await must(root, 'mailmux instances'), new RegExp(` ${PREVIOUS} `))

  const text = await install(root, current)
  assert.doesNotMatch(text, /Configuration file|systemctl/)
  assert.equal(await must(root, 'md5sum /etc/mailmux/*'), before)
  assert.match(await must(root, 'mailmux instances'), new RegExp(` ${PREVIOUS} `)) // without systemd the operator decides when
  assert.match(await must(root, 'mailmux upgrade'), new RegExp(`^mailmux ${version} serves: generation 2,`))
  assert.match(await must(root, 'mailmux instances'), new RegExp(` ${version} `))
})

test('a purge leaves nothing, and a removal keeps the configuration', async () => {
  const root = await openDebianRoot(scene, 'purge')
  const before = await inventory(root)
  await install(root, current)
  await must(root, 'touch /var/lib/mailmux/routes.snapshot /var/log/mailmux/mailmux.log')
  await must(root, 'dpkg --remove mailmux')
  assert.equal((await must(root, 'ls /etc/mailmux')).split('\n').length, 6)
  await must(root, 'dpkg --purge mailmux')
  const after = await inventory(root)
  assert.deepEqual(
    after.filter((line) => !before.includes(line)),
    [],
  )
  assert.deepEqual(
    before.filter((line) => !after.includes(line)),
    [],
  )
})

test('a purge keeps files of the operator in /etc/mailmux', async () => {
  const root = await openDebianRoot(scene, 'operator')
  await install(root, current)
  await must(root, 'echo key > /etc/mailmux/mail.example.test-key.pem')
  await must(root, 'dpkg --purge mailmux')
  assert.equal(await must(root, 'find /etc/mailmux -type f'), '/etc/mailmux/mail.example.test-key.pem\n')
})

/** Records what it is asked. The service is active once /tmp/active exists. */
const SYSTEMCTL = `#!/bin/sh
echo "systemctl $*" >> /tmp/asked
case "$*" in *is-active*) test -e /tmp/active ;; *is-enabled*) echo enabled ;; esac
`

test('with a running systemd it is enabled and started, upgraded in place, and stopped', async () => {
  const root = await openDebianRoot(scene, 'systemd')
  // No systemd runs here. A command of that name records what the maintainer scripts ask of it.
  writeFileSync(join(root.path, 'usr/bin/systemctl'), SYSTEMCTL)
  chmodSync(join(root.path, 'usr/bin/systemctl'), 0o755)
  await must(root, 'mkdir -p /run/systemd/system')
  const asked = async (): Promise<string[]> => {
    const { stdout } = await root.shell('cat /tmp/asked; rm /tmp/asked')
    return stdout.split('\n').filter((line) => /start|stop|enable|preset|daemon-reload|is-active/.test(line))
  }
  await install(root, previous)
  const first = await asked()
  assert.ok(first.includes('systemctl --system daemon-reload'), String(first))
  assert.ok(
    first.some((line) => /start mailmux\.service/.test(line)),
    String(first),
  )
  assert.ok(
    first.some((line) => /preset mailmux\.service/.test(line)),
    String(first),
  ) // which enables it

  await startMailmux(root)
  await must(root, 'touch /tmp/active')
  const text = await install(root, current)
  assert.match(text, new RegExp(`^mailmux ${version} serves: generation 2,`, 'm'))
  assert.ok(!(await asked()).some((line) => /(re)?start |stop/.test(line)))

  await must(root, 'dpkg --remove mailmux')
  assert.ok((await asked()).some((line) => /stop .*mailmux\.service/.test(line)))
})

test('an installation after a removal starts the service again', async () => {
  const root = await openDebianRoot(scene, 'again')
  writeFileSync(join(root.path, 'usr/bin/systemctl'), SYSTEMCTL)
  chmodSync(join(root.path, 'usr/bin/systemctl'), 0o755)
  await must(root, 'mkdir -p /run/systemd/system')
  await install(root, current)
  await must(root, 'dpkg --remove mailmux && rm /tmp/asked')
  await install(root, current)
  // A unit is masked by a link to /dev/null.
  assert.equal(await must(root, 'find /etc/systemd/system -lname /dev/null'), '')
  assert.match(await must(root, 'cat /tmp/asked'), /start mailmux\.service/)
})

test('an installation that failed half-way, as on a full disk, goes on with a whole certificate and token', async () => {
  const root = await openDebianRoot(scene, 'full')
  for (const what of ['req', 'rand']) {
    const script = `#!/bin/sh\n[ "$1" != ${what} ] || exit 1\nexec /usr/bin/openssl "$@"\n`
    writeFileSync(join(root.path, 'usr/local/sbin/openssl'), script)
    chmodSync(join(root.path, 'usr/local/sbin/openssl'), 0o755)
    const file = root.bring(current)
    assert.notEqual((await root.shell(`PATH=/usr/local/sbin:$PATH dpkg --install ${file}`)).code, 0)
  }
  await must(root, 'rm /usr/local/sbin/openssl')
  await must(root, 'dpkg --configure mailmux')
  await must(root, 'mailmux check')
  assert.match(await must(root, 'cat /etc/mailmux/admin.token'), /^[\w+/]{43}=\n$/)
  assert.equal(await must(root, 'find /etc/mailmux -name "*.new"'), '')
})

test('lintian finds no error, and each override has its reason', async () => {
  const { code, stdout, stderr } = await run('lintian', ['--allow-root', '--fail-on', 'error', current], {
    ms: 300_000,
  })
  assert.equal(code, 0, stdout + stderr)
  assert.doesNotMatch(stdout, /^E:/m)
  assert.doesNotMatch(stdout, /unused-override|mismatched-override/)
})
