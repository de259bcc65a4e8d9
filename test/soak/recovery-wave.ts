/**
 * A store comes back while 2,000 clients want in: once with mailmux's limits and slow start, once without.
 * `node test/soak/recovery-wave.ts`, for fewer clients with WAVE_CLIENTS. Leaves its account in docs/soak/recovery-wave.md, with a plot,
 * and fails where the store does not stay up or somebody is not let in.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { alignTable } from '../bench/render.ts'
import { drawPlot } from '../support/plot.ts'
import { runRecoveryWave, STORE_LOGINS, STORE_SESSIONS, type WaveReport } from '../support/recovery-wave.ts'
import { describeHere } from './here.ts'

const FOLDER = join(import.meta.dirname, '../../docs/soak')
const clients = Number(process.env.WAVE_CLIENTS ?? 2000)
const limits = { sessions: 40, logins_per_second: 100 }
const wave = { clients, reuse: true, deadlineMs: 120_000, leastMs: 3000, seed: 1 }

function renderAccount(guarded: WaveReport, open: WaveReport, at: Date, here: string): string {
  const row = (what: string, of: (report: WaveReport) => number | string) => [
    what,
    String(of(guarded)),
    String(of(open)),
  ]
  const facts = [
    row('clients that were let in', ({ clientsIn }) => clientsIn),
    row('seconds until then', ({ tookMs }) => (tookMs / 1000).toFixed(1)),
    row('most connections at the store', ({ mostConnections }) => mostConnections),
    row('most logins in a second', ({ perSecond }) => Math.max(...perSecond)),
    row('times that clients were told to come back', ({ refused }) => refused),
    row('times that the store was marked down again', ({ relapses }) => relapses),
    row('lines of the store about too many connections', ({ complaints }) => complaints.length),
  ]
  return `# A store that comes back under a wave

A Dovecot that bears ${STORE_LOGINS} connections before login and ${STORE_SESSIONS} sessions is stopped; ${clients} IMAP clients want in, are told \`[UNAVAILABLE]\`, and come back
by clocks of their own, three to six seconds later; then it is started. Written by \`node test/soak/recovery-wave.ts\`.

${at.toISOString()}, ${here}.

![Logins that the store accepted in each second, with and without limits](recovery-wave.svg)

${alignTable([['', 'with limits and slow start', 'without'], ...facts]).join('\n')}

With: \`limits: {sessions: ${limits.sessions}, logins_per_second: ${limits.logins_per_second}}\`, and the defaults for the rest: \`slow_start: 10s\`, \`queue_timeout: 10s\`. Who waited for ten seconds
was told to come back, which is the dip once that time is over. Without: limits too high to be reached, and \`slow_start: 0s\`.
Logins are those in the store's own log, connections those that the kernel knows at its port, ten times a second.
`
}

function linesOf({ perSecond }: WaveReport): [number, number][] {
  return perSecond.map((count, second) => [second + 0.5, count])
}

const at = new Date()
const here = describeHere()
const guarded = await runRecoveryWave({ ...wave, backend: { limits } })
process.stdout.write(`with limits: ${JSON.stringify({ ...guarded, complaints: guarded.complaints.length })}\n`)
const open = await runRecoveryWave({
  ...wave,
  backend: { limits: { logins: 100_000, queue_size: 1_000_000 }, slow_start: '0s' },
})
process.stdout.write(`without: ${JSON.stringify({ ...open, complaints: open.complaints.length })}\n`)
await mkdir(FOLDER, { recursive: true })
await writeFile(join(FOLDER, 'recovery-wave.md'), renderAccount(guarded, open, at, here))
await writeFile(
  join(FOLDER, 'recovery-wave.svg'),
  drawPlot({
    title: `A store comes back while ${clients} clients want in`,
    x: 'seconds since it is back',
    y: 'logins a second',
    lines: [
      { name: 'with limits and slow start', points: linesOf(guarded) },
      { name: 'without', points: linesOf(open) },
    ],
  }),
)
const isSound = guarded.clientsIn === clients && guarded.relapses === 0 && guarded.complaints.length === 0
if (!isSound || guarded.mostConnections > limits.sessions + 2) process.exitCode = 1
