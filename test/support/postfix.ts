/**
 * A real Postfix with its own configuration, queue and data directories, which shares nothing with a system's own. It needs root: its
 * processes change to the user `postfix`. It accepts SMTP on loopback and delivers by LMTP.
 */
import { execFile, execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { START_DEADLINE_MS, until } from './deadline.ts'
import { freePort } from './ports.ts'
import { startProgram } from './processes.ts'
import type { Scene } from './scene.ts'
import { openTemporaryRoot } from './temporary.ts'

export type Postfix = {
  /** Accepts a message as from a local program, or throws. */
  send: (recipient: string, message: string) => void
  /** Has it try every message of the queue now, or this one. */
  flush: (id?: string) => void
  /** what is in the queue, as JSON objects */
  queue: () => Promise<{ queue_id: string; recipients: { address: string; delay_reason?: string }[] }[]>
  /** A lookup as Postfix makes it. @returns what it finds; undefined where it finds nothing; throws on TEMP */
  lookup: (key: string) => Promise<string | undefined>
  /** Waits for a line of its log. */
  waitForLog: (wanted: RegExp) => Promise<string>
  log: () => Promise<string>
}

/** @param socketmap host and port of the service of `delivery` */
export async function startPostfix(scene: Scene, socketmap: string): Promise<Postfix> {
  // The path of a unix socket has 107 octets at most.
  const directory = mkdtempSync(join(openTemporaryRoot(), 'mailmux-postfix-'))
  scene.closeLater(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }))
  await chmod(directory, 0o755)
  const at = (name: string): string => join(directory, name)
  for (const name of ['etc', 'queue', 'data']) await mkdir(at(name))
  execFileSync('chown', ['postfix', at('data')])
  const map = `socketmap:inet:${socketmap}:delivery`
  await writeFile(
    at('etc/main.cf'),
    [
      'compatibility_level = 3.6',
      `queue_directory = ${at('queue')}`,
      `data_directory = ${at('data')}`,
      `maillog_file = ${at('data/maillog')}`,
      `maillog_file_prefixes = ${directory}`,
      'myhostname = mta.example.test',
      'mydestination =',
      'inet_interfaces = 127.0.0.1',
      'inet_protocols = all',
      'relay_domains = example.test',
      'relay_transport = error:5.1.1 no such user',
      `transport_maps = ${map}`,
      'alias_maps =',
      'alias_database =',
      'local_recipient_maps =',
      // A message that is deferred is tried again by `flush` alone during a test.
      'minimal_backoff_time = 1h',
      // By default Postfix asks DNS alone, and bounces mail for a name of /etc/hosts.
      'lmtp_host_lookup = dns, native',
      'maximal_backoff_time = 1h',
      'queue_run_delay = 1h',
      '',
    ].join('\n'),
  )
  await writeFile(at('etc/master.cf'), services(await freePort()))
  const args = ['-c', at('etc')]
  execFileSync('postfix', [...args, 'check'], { stdio: 'pipe' })
  const program = startProgram(scene, { name: 'postfix', command: '/usr/sbin/postfix', args: [...args, 'start-fg'] })
  scene.closeLater(() => {
    // It ends the processes of the master too, and waits for them.
    if (program.exit() === undefined) execFileSync('postfix', [...args, 'stop'], { stdio: 'pipe' })
  })
  const log = (): Promise<string> => readFile(at('data/maillog'), 'utf8').catch(() => '')
  const waitForLog = (wanted: RegExp): Promise<string> =>
    untilLogged(log, wanted, () => (program.exit() === undefined ? '' : program.stderr()))
  await waitForLog(/daemon started/)
  return {
    send: (recipient, message) =>
      void execFileSync('/usr/sbin/sendmail', ['-C', at('etc'), '-i', '-f', 'sender@example.net', recipient], {
        input: message,
        stdio: 'pipe',
      }),
    flush: (id) => {
      // A message that was delivered meanwhile is not there any more: postqueue then fails.
      const which = id === undefined ? ['-f'] : ['-i', id]
      spawnSync('postqueue', [...args, ...which], { stdio: 'pipe' })
    },
    queue: async () => {
      const { stdout } = await promisify(execFile)('postqueue', [...args, '-j'])
      return stdout
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => JSON.parse(line) as Awaited<ReturnType<Postfix['queue']>>[number])
    },
    lookup: (key) =>
      promisify(execFile)('postmap', [...args, '-q', key, map]).then(
        ({ stdout }) => stdout.trim(),
        (thrown: unknown) => {
          const error = thrown as { code?: unknown; stderr?: string }
          if (error.code === 1 && error.stderr === '') return undefined
          throw new Error(error.stderr)
        },
      ),
    waitForLog,
    log,
  }
}

async function untilLogged(log: () => Promise<string>, wanted: RegExp, problem: () => string): Promise<string> {
  let last = ''
  return until(
    START_DEADLINE_MS,
    async () => {
      last = await log()
      return last.split('\n').find((line) => wanted.test(line))
    },
    () => `postfix has not logged ${String(wanted)}: ${problem()}\n${last}`,
  )
}

/** Without chroot, so that the queue directory needs no copies of system files. */
function services(port: number): string {
  const rows = [
    `127.0.0.1:${port} inet n - n - - smtpd`,
    'pickup unix n - n 60 1 pickup',
    'cleanup unix n - n - 0 cleanup',
    'qmgr unix n - n 300 1 qmgr',
    'rewrite unix - - n - - trivial-rewrite',
    ...['bounce', 'defer', 'trace'].map((name) => `${name} unix - - n - 0 bounce`),
    'flush unix n - n 1000? 0 flush',
    'showq unix n - n - - showq',
    'error unix - - n - - error',
    'retry unix - - n - - error',
    'smtp unix - - n - - smtp',
    'relay unix - - n - - smtp',
    'lmtp unix - - n - - lmtp',
    'anvil unix - - n - 1 anvil',
    'scache unix - - n - 1 scache',
    'postlog unix-dgram n - n - 1 postlogd',
  ]
  return `${rows.join('\n')}\n`
}
