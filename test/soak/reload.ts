/**
 * Reloads, every second one of a broken file, while clients log in and run commands, between two Redis servers: `node test/soak/reload.ts`,
 * for a shorter time with `--seconds 60`, with `--workers 4` for more than two. Writes docs/soak/reload.md unless `--dry` is given. Fails if a client has noticed.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pass } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { alignTable } from '../bench/render.ts'
import { until } from '../support/deadline.ts'
import { freePort } from '../support/ports.ts'
import { startRedis } from '../support/redis.ts'
import { createStorm } from '../support/reload-storm.ts'
import { HOMES, PASSWORD, startSite } from '../support/site.ts'
import { startSteadyClients } from '../support/steady-clients.ts'
import { describeHere } from './here.ts'

const PAGE = join(import.meta.dirname, '../../docs/soak/reload.md')

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '600' },
    workers: { type: 'string', default: '2' },
    sessions: { type: 'string', default: '50' },
    logins: { type: 'string', default: '20' },
    dry: { type: 'boolean', default: false },
  },
})
const USER = 'alice@example.test'
/** A Redis that cannot be reached takes 5 s. */
const RELOAD_MS = 60_000
/** Each reload starts a process that reads the files, which takes half a second of a processor. */
const EVERY_MS = 2000

const here = describeHere()
const site = await startSite({ redis: true, mailmux: { settings: { workers: Number(values.workers) } } })
try {
  const { mailmux, redis } = site
  const second = await startRedis(site.scene)
  await second.command('HSET', `mailmux:user:${USER}`, 'backend', HOMES[USER] ?? '')
  const directoryAt = (url = '') => ({ redis: { url, prefix: 'mailmux:', timeout: '500ms' } })
  const directories = {
    valid: [directoryAt(second.url), directoryAt(redis?.url)],
    broken: directoryAt(`redis://127.0.0.1:${await freePort()}`),
  }
  const count = async (outcome: string) =>
    (await mailmux.metric(`mailmux_config_reloads_total{outcome="${outcome}"}`)) ?? 0
  const reloads = async () => (await count('success')) + (await count('failure'))
  /** Each reload ends before the next one: reloads at the same time would be one. */
  async function reload(): Promise<void> {
    const before = await reloads()
    mailmux.program.signal('SIGHUP')
    await until(
      RELOAD_MS,
      async () => (await reloads()) > before || undefined,
      () => 'the reload does not end',
    )
  }
  const main = (await readFile(mailmux.configFile, 'utf8')).replace(/^settle: .*$/m, 'reload: signal')
  await writeFile(mailmux.configFile, main)
  const storm = await createStorm(mailmux, main, reload, directories)
  await storm.end('before')
  const clients = await startSteadyClients(() => site.open('imap', 'implicit'), {
    user: USER,
    password: PASSWORD,
    sessions: Number(values.sessions),
    loginsPerSecond: Number(values.logins),
  })
  const endMs = performance.now() + Number(values.seconds) * 1000
  while (performance.now() < endMs) {
    await storm.next()
    await pass(EVERY_MS)
  }
  await storm.end('after')
  const tally = await clients.stop()
  const replaced = mailmux.log().filter(({ msg, worker }) => msg === 'directory replaced' && (worker ?? 1) === 1)
  const rows = [
    ['reloads of a valid file', String(await count('success'))],
    ['reloads of a broken file, refused', String(await count('failure'))],
    ['changes from one Redis to the other', String(replaced.length)],
    ['connections', String(tally.connections)],
    ['refused', String(tally.refused)],
    ['logins', String(tally.logins)],
    ['failed', String(tally.failed)],
    ['commands', String(tally.commands)],
    ['sessions cut', String(tally.cut)],
  ]
  const table = alignTable([['what clients met', ''], ...rows]).join('\n')
  process.stdout.write(`${table}\n${tally.errors.join('\n')}\n`)
  const intro = `# Reloads while clients work

${values.sessions} IMAP sessions run commands, and ${values.logins} clients a second log in, for ${values.seconds} s, with ${values.workers} workers. Every 2 s
mailmux gets SIGHUP, or as soon as the last reload has ended: every second file is broken, by an unknown key or by a Redis that cannot be
reached, and the valid ones change a banner, add or remove a listener, and change from one of two Redis servers to the other. Written by
\`node test/soak/reload.ts\`.
`
  if (!values.dry) await writeFile(PAGE, `${intro}\n${new Date().toISOString()}, ${here}.\n\n${table}\n`)
  if (tally.refused + tally.failed + tally.cut > 0) process.exitCode = 1
} finally {
  await site.close()
}
