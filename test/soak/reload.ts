/**
 * Reloads, every second one of a broken file, while clients log in and run commands: `node test/soak/reload.ts`, for a shorter time with
 * `--seconds 60`, with `--workers 4` for more than two. Writes docs/soak/reload.md unless `--dry` is given. Fails if a client has noticed.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pass } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { alignTable } from '../bench/render.ts'
import { createStorm } from '../support/reload-storm.ts'
import { PASSWORD, startSite } from '../support/site.ts'
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
/** Each reload starts a process that reads the files, which takes half a second of a processor. */
const EVERY_MS = 2000

const here = describeHere()
const site = await startSite({ mailmux: { settings: { workers: Number(values.workers) } } })
try {
  const { mailmux } = site
  const main = (await readFile(mailmux.configFile, 'utf8')).replace(/^settle: .*$/m, 'reload: signal')
  await writeFile(mailmux.configFile, main)
  const storm = await createStorm(mailmux, main, () => mailmux.program.signal('SIGHUP'))
  await storm.end('before')
  const clients = await startSteadyClients(() => site.open('imap', 'implicit'), {
    user: 'alice@example.test',
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
  const count = async (outcome: string) =>
    (await mailmux.metric(`mailmux_config_reloads_total{outcome="${outcome}"}`)) ?? 0
  const rows = [
    ['reloads of a valid file', String(await count('success'))],
    ['reloads of a broken file, refused', String(await count('failure'))],
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
mailmux gets SIGHUP: every second file is broken, and the valid ones change a banner, and add or remove a listener. Written by
\`node test/soak/reload.ts\`.
`
  if (!values.dry) await writeFile(PAGE, `${intro}\n${new Date().toISOString()}, ${here}.\n\n${table}\n`)
  if (tally.refused + tally.failed + tally.cut > 0) process.exitCode = 1
} finally {
  await site.close()
}
