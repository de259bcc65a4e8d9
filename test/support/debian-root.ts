/**
 * A Debian of its own for a test: the base system in a directory, with its own processes, network and mounts. Nothing that runs
 * in it can reach another program of the machine. Needs root. The base is downloaded once, into `.runtime/debian/`.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { READ_DEADLINE_MS, until } from './deadline.ts'
import { run, type RunResult } from './run.ts'
import type { Scene } from './scene.ts'

const runtime = join(import.meta.dirname, '../../.runtime/debian')
/** What the package depends on, and nothing more: no systemd. */
const INCLUDED = 'adduser,openssl,libatomic1,libstdc++6'

export type DebianRoot = {
  path: string
  /** Runs a shell command in it, as root. */
  shell: (command: string) => Promise<RunResult>
  /** Copies a file into its /root, and gives the path there. */
  bring: (file: string) => string
}

/** Downloads the base system unless it is there. Takes about 40 s. */
function baseSystem(): string {
  if (process.getuid?.() !== 0) throw new Error('this test needs root: it installs packages into a root of its own')
  const [, codename = ''] = /^VERSION_CODENAME=(\w+)$/m.exec(readFileSync('/etc/os-release', 'utf8')) ?? []
  const base = join(runtime, codename)
  if (existsSync(base)) return base
  mkdirSync(runtime, { recursive: true })
  const next = `${base}.new`
  rmSync(next, { recursive: true, force: true })
  execFileSync('debootstrap', ['--variant=minbase', `--include=${INCLUDED}`, codename, next], { stdio: 'pipe' })
  renameSync(next, base)
  return base
}

export async function openDebianRoot(scene: Scene, name: string): Promise<DebianRoot> {
  const path = join(scene.directory, name)
  execFileSync('cp', ['--archive', '--reflink=auto', baseSystem(), path])
  const prepare = `ip link set lo up && mount -t proc proc '${path}/proc' && mount -t tmpfs tmpfs '${path}/run' && exec sleep infinity`
  const own = ['--mount', '--net', '--pid', '--uts', '--ipc', '--fork', '--kill-child=SIGKILL']
  const holder = spawn('unshare', [...own, 'sh', '-c', prepare], { stdio: 'ignore' })
  const ended = once(holder, 'exit')
  scene.closeLater(async () => {
    holder.kill('SIGKILL') // the kernel ends all processes of the namespace with its first
    await ended
  })
  const first = await until(
    READ_DEADLINE_MS,
    () => firstChild(holder.pid ?? 0),
    () => 'no process in the namespace',
  )
  const enter = ['--target', first, '--mount', '--net', '--pid', '--uts', '--ipc']
  const env = ['env', '-i', 'PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'DEBIAN_FRONTEND=noninteractive', 'HOME=/root']
  const shell = (command: string): Promise<RunResult> =>
    run('nsenter', [...enter, 'chroot', path, ...env, 'sh', '-c', command], { ms: 120_000 })
  await until(
    READ_DEADLINE_MS,
    async () => ((await shell('test -e /proc/self && test ! -e /run/systemd')).code === 0 ? true : undefined),
    () => 'the root is not mounted',
  )
  return {
    path,
    shell,
    bring(file) {
      copyFileSync(file, join(path, 'root', basename(file)))
      return `/root/${basename(file)}`
    },
  }
}

/** The first process of the namespace: the only child of `unshare`. */
function firstChild(pid: number): string | undefined {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ')[0] || undefined
}
