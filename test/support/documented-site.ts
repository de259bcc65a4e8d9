/**
 * The site in which the commands of the documents run: a mailmux with the configuration in /etc/mailmux, three Dovecots, a Redis. It is a
 * program of its own, started in own namespaces (documented-commands.test.ts), where it sees /etc, /run and the ports as its own. It
 * reads pages from standard input, a JSON text, and writes what each command did.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { makeAuthority } from './certificates.ts'
import { START_DEADLINE_MS, until } from './deadline.ts'
import { startDovecot } from './dovecot.ts'
import { launchMailmux } from './mailmux.ts'
import type { Program } from './processes.ts'
import { startRedis } from './redis.ts'
import { run } from './run.ts'
import { openScene } from './scene.ts'

const checkout = join(import.meta.dirname, '../..')
const ETC = '/etc/mailmux'
/** Most end in a second. Some wait for a session to end, or for a probe of 10 s. */
const COMMAND_MS = 30_000
const users = { 'alice@example.test': 'secret', 'bob@example.test': 'secret', 'carol@example.test': 'secret' }

const Pages = z.array(
  z.object({ page: z.string(), blocks: z.array(z.object({ line: z.number(), commands: z.array(z.string()) })) }),
)
export type Outcome = { page: string; line: number; command: string; code: number | null; output: string }

async function main(): Promise<void> {
  const pages = Pages.parse(JSON.parse(readFileSync(0, 'utf8')))
  const scene = openScene()
  try {
    const authority = await makeAuthority(scene.directory)
    const { certFile, keyFile } = await authority.issue('mailmux')
    const stores = await Promise.all(
      ['store1', 'store2', 'store3'].map((name) => startDovecot(scene, { name, users, sieve: true })),
    )
    const redis = await startRedis(scene, { port: 6379 })
    const kept = join(scene.directory, 'etc')
    mkdirSync(kept)
    for (const [from, to] of [
      [certFile, 'cert.pem'],
      [keyFile, 'key.pem'],
    ] as const)
      cpSync(from, join(kept, to))
    writeFileSync(join(kept, 'admin.token'), 'the-token-of-the-test\n')
    writeFileSync(
      join(kept, 'mailmux.yaml'),
      `hostname: mail.example.test
listeners:
  - { name: imap, protocol: imap, default_domain: example.test }
  - { name: imaps, protocol: imap, tls: implicit, default_domain: example.test }
  - { name: pop3, protocol: pop3, default_domain: example.test }
  - { name: pop3s, protocol: pop3, tls: implicit, default_domain: example.test }
tls: { certificates: [{ cert: cert.pem, key: key.pem }] }
directory: { redis: { url: 'redis://127.0.0.1:6379' } }
admin: { token_file: admin.token }
delivery: {}
limits: { end_timeout: 2s, spread_disconnects: 1s, shutdown_grace: 5s }
`,
    )
    const backends = stores.map(
      ({ ports }, at) =>
        `  store${at + 1}: { host: 127.0.0.1, imap: ${ports.imap}, pop3: ${ports.pop3}, managesieve: ${ports.managesieve ?? 0}, lmtp: 24 }`,
    )
    writeFileSync(join(kept, 'routing.yaml'), `backends:\n${backends.join('\n')}\n`)

    const bin = join(scene.directory, 'bin')
    mkdirSync(bin)
    const script = (name: string, text: string): void => {
      writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`)
      chmodSync(join(bin, name), 0o755)
    }
    script(
      'mailmux',
      `NODE_COMPILE_CACHE='${join(checkout, '.runtime/compiled')}' exec '${process.execPath}' '${join(checkout, 'src/main.ts')}' "$@"`,
    )
    script('sudo', 'exec "$@"')
    const env = `PATH=${bin}:/usr/sbin:/usr/bin:/sbin:/bin`

    let mailmux: Program | undefined
    const reset = async (): Promise<void> => {
      execFileSync('redis-cli', ['-p', '6379', 'eval', RESET, '0'])
      for (const [at, user] of Object.keys(users).entries())
        await redis.command('HSET', `mailmux:user:${user}`, 'backend', `store${at + 1}`)
      rmSync(ETC, { recursive: true, force: true })
      cpSync(kept, ETC, { recursive: true })
      mkdirSync(join(ETC, '.demo'))
      symlinkSync(ETC, join(ETC, '.demo/redis'))
      const healthy = mailmux === undefined ? 'no' : (await run(join(bin, 'mailmux'), ['health'])).stdout
      if (healthy === 'ok\n') return
      await mailmux?.stop()
      mailmux = launchMailmux(scene, join(ETC, 'mailmux.yaml'))
      await until(
        START_DEADLINE_MS,
        async () => (await run(join(bin, 'mailmux'), ['health'])).code === 0 || undefined,
        () => `mailmux is not healthy: ${mailmux?.stdout() ?? ''}`,
      )
    }
    for (const { page, blocks } of pages) {
      await reset()
      for (const { line, commands } of blocks)
        for (const command of commands) {
          const options = { ms: COMMAND_MS, input: 'secret\n' }
          const { code, stdout, stderr } = await run('env', [env, 'bash', '-c', `cd ${ETC} && ${command}`], options)
          const outcome: Outcome = { page, line, command, code, output: stdout + stderr }
          process.stdout.write(`${JSON.stringify(outcome)}\n`)
        }
    }
  } finally {
    await scene.close()
  }
}

/** Removes what commands have written: routes, states and blocks. The marker of the directory and the heartbeats stay. */
const RESET = `for _, pattern in ipairs({'mailmux:user:*', 'mailmux:backend:*', 'mailmux:blocks'}) do
  for _, key in ipairs(redis.call('KEYS', pattern)) do redis.call('DEL', key) end
end`

await main()
