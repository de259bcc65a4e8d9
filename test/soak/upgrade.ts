/**
 * Upgrades and reloads, or kills, while 500 sessions run commands and 200 clients a second log in: `node test/soak/upgrade.ts`, and
 * `node test/soak/upgrade.ts kill`; for a shorter time with `--seconds 60`. Half of the time is with one worker, half with `--workers`.
 * Writes docs/soak/upgrade.md or docs/soak/kill.md unless `--dry` is given. Fails if a client has noticed more than it may.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as pass } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { alignTable } from '../bench/render.ts'
import { createStorm } from '../support/reload-storm.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { waitUntilEnded } from '../support/process-tree.ts'
import { openScene } from '../support/scene.ts'
import { describeHere } from './here.ts'
import { startLoad, type Load, type Mishap } from './upgrade-clients.ts'
import { startUpgradeSite, type UpgradeSite } from './upgrade-site.ts'

const FOLDER = join(import.meta.dirname, '../../docs/soak')
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: 'string', default: '600' },
    workers: { type: 'string', default: '2' },
    sessions: { type: 'string', default: '500' },
    logins: { type: 'string', default: '200' },
    dry: { type: 'boolean', default: false },
  },
})
const isKill = positionals[0] === 'kill'
const seconds = Number(values.seconds)
/** A reload takes half a second of a processor, and an upgrade two to three. 600 s have 100 reloads and 20 upgrades. */
const EVERY_MS = 5000
/** Each of so many steps is an upgrade, and the others are reloads. */
const STEPS_FOR_UPGRADE = 6
/** Sessions of an old generation end within this time. The next upgrade comes after them. */
const SPREAD_MS = 4000
const GRACE_MS = 30_000
/** After a kill, until everything runs as before. */
const REST_MS = 3000

type Done = { upgrades: number; reloads: number; refusedReloads: number; kills: Map<string, number> }
type Part = { workers: number; done: Done; load: Load }

async function upgradeAndReload(site: UpgradeSite, load: Load, endMs: number, done: Done): Promise<void> {
  const main = await readFile(site.configFile, 'utf8')
  const storm = await createStorm(site, main, async () => {
    done[(await site.reload()) ? 'reloads' : 'refusedReloads']++
  })
  for (let step = 1; performance.now() < endMs; step++) {
    const nextMs = performance.now() + EVERY_MS
    if (step % STEPS_FOR_UPGRADE === 0) {
      await storm.end(`upgrade ${step}`)
      load.event('upgrade')
      await site.upgrade()
      done.upgrades++
    } else {
      load.event('reload')
      await storm.next()
    }
    await pass(Math.max(0, nextMs - performance.now()))
  }
}

const KILLS = {
  worker: 'a worker',
  supervisor: 'the supervisor',
  old: 'the old generation',
} as const

async function kill(site: UpgradeSite, load: Load, endMs: number, { kills }: Done, workers: number): Promise<void> {
  const note = (name: string): void => {
    load.event(name)
    kills.set(name, (kills.get(name) ?? 0) + 1)
  }
  while (performance.now() < endMs) {
    if (workers > 1) {
      note(KILLS.worker)
      process.kill(site.workers()[0]!, 'SIGKILL')
      await pass(REST_MS)
      await until(
        START_DEADLINE_MS,
        async () => (await site.metric('mailmux_workers{state="up"}')) === workers || undefined,
        () => 'the killed worker is not started again',
      )
    }
    note(KILLS.supervisor)
    const supervisor = site.pid()
    process.kill(supervisor, 'SIGKILL')
    await waitUntilEnded([String(supervisor)])
    await site.startAgain()
    await pass(REST_MS)
    const old = site.pid()
    load.event('upgrade')
    await site.upgrade()
    await pass(SPREAD_MS / 4)
    note(KILLS.old)
    process.kill(old, 'SIGKILL')
    await pass(REST_MS + SPREAD_MS)
  }
}

async function run(workers: number): Promise<Part> {
  const scene = openScene()
  try {
    const site = await startUpgradeSite(scene, { workers, spreadMs: SPREAD_MS, graceMs: GRACE_MS })
    const load = await startLoad({
      ports: site.ports,
      sessions: Number(values.sessions),
      loginsPerSecond: Number(values.logins),
      hasReached: site.hasReached,
    })
    const done: Done = { upgrades: 0, reloads: 0, refusedReloads: 0, kills: new Map() }
    const endMs = performance.now() + (seconds * 1000) / 2
    try {
      if (isKill) await kill(site, load, endMs, done, workers)
      else await upgradeAndReload(site, load, endMs, done)
    } finally {
      process.stdout.write(`workers ${workers}: ${JSON.stringify({ ...done, kills: [...done.kills] })}\n`)
      process.stdout.write(`${causesOf(load.mishaps).join('\n')}\n`)
    }
    await load.stop()
    await site.stop()
    return { workers, done, load }
  } finally {
    await scene.close()
  }
}

/** Each cause with how often it was met. */
function causesOf(mishaps: readonly Mishap[]): string[] {
  const counts = new Map<string, number>()
  for (const { what, protocol, cause, event, isOlder } of mishaps) {
    const text = `${what}, ${protocol}, ${isOlder ? 'connected before' : 'connected after'}: ${event}: ${cause.slice(0, 200)}`
    counts.set(text, (counts.get(text) ?? 0) + 1)
  }
  return [...counts].sort(([, one], [, other]) => other - one).map(([text, count]) => `${count} × ${text}`)
}

const count = (part: Part, isMeant: (mishap: Mishap) => boolean): string =>
  String(part.load.mishaps.filter(isMeant).length)

function rowsOf(name: string, value: (part: Part) => string | number): string[] {
  return [name, ...parts.map((part) => String(value(part)))]
}

function describeLoad(): string[][] {
  return [
    rowsOf('connections', ({ load }) => load.counts.connections),
    rowsOf('logins', ({ load }) => load.counts.logins),
    rowsOf('commands', ({ load }) => load.counts.commands),
    rowsOf('sessions that mailmux has ended at a safe point', ({ load }) => load.counts.ended),
    rowsOf('commands that met the goodbye on the way, and never reached the store', ({ load }) => load.counts.crossed),
    rowsOf('connections refused', (part) => count(part, ({ what }) => what === 'refused')),
    rowsOf('logins failed', (part) => count(part, ({ what }) => what === 'failed')),
    rowsOf('commands cut', (part) => count(part, ({ what }) => what === 'cut')),
    rowsOf('sessions ended without a goodbye', (part) => count(part, ({ what }) => what === 'lost')),
  ]
}

function describeKills(): string[][] {
  return Object.values(KILLS).flatMap((name) => {
    const of = (what: Mishap['what'], isOlder: boolean) => (part: Part) =>
      count(part, (one) => one.event === name && one.what === what && one.isOlder === isOlder)
    return [
      rowsOf(`kills of ${name}`, ({ done }) => done.kills.get(name) ?? 0),
      rowsOf('– connections without a greeting, opened before the kill', of('refused', true)),
      rowsOf('– logins failed, connected before the kill', of('failed', true)),
      rowsOf('– commands cut, connected before the kill', of('cut', true)),
      rowsOf('– sessions ended without a goodbye, connected before the kill', of('lost', true)),
      rowsOf('– any of these, connected after the kill', (part) =>
        count(part, (one) => one.event === name && !one.isOlder),
      ),
    ]
  })
}

const at = new Date()
const here = describeHere()
const parts: Part[] = []
for (const workers of [1, Number(values.workers)]) parts.push(await run(workers))

const heading = ['', ...parts.map(({ workers }) => (workers === 1 ? '1 worker' : `${workers} workers`))]
const doneRows = isKill
  ? describeKills()
  : [
      rowsOf('upgrades', ({ done }) => done.upgrades),
      rowsOf('reloads of a valid file', ({ done }) => done.reloads),
      rowsOf('reloads of a broken file, refused', ({ done }) => done.refusedReloads),
    ]
const table = alignTable([heading, ...doneRows, ...describeLoad()]).join('\n')
process.stdout.write(`${table}\n`)

const LOAD = `${values.sessions} sessions run a command each half a second and connect again when mailmux ends them, and ${values.logins} clients a second log in, run a
command and log out: IMAP, POP3 and ManageSieve, a fifth of them over TLS. The store is a program of the test, which answers any
user at once and sends each answer in two parts. Clients and store share the machine with mailmux.`
const PAGE = isKill
  ? `# Kills while clients work

${LOAD} The test holds the listening sockets as systemd does, and starts mailmux again
after a kill of its main process. It kills with SIGKILL: a worker, the supervisor, and the old generation during an upgrade. Written by
\`node test/soak/upgrade.ts kill\`.
`
  : `# Upgrades and reloads while clients work

${LOAD} Meanwhile there is a reload or an upgrade each ${EVERY_MS / 1000} s; each second reload is of
a broken file, and the valid ones change a banner, and add or remove a listener. Written by \`node test/soak/upgrade.ts\`.
`
if (!values.dry) {
  await writeFile(
    join(FOLDER, isKill ? 'kill.md' : 'upgrade.md'),
    `${PAGE}\n${at.toISOString()}, ${here}, ${seconds} s.\n\n${table}\n`,
  )
}

/** Of a kill, only connections that were open before it may notice. Upgrades and reloads may not be noticed. */
const isFault = (mishap: Mishap): boolean => !isKill || !mishap.isOlder || mishap.event === 'upgrade'
const faults = parts.flatMap(({ load }) => load.mishaps.filter(isFault))
if (faults.length > 0) {
  process.stdout.write(`${causesOf(faults).join('\n')}\n`)
  process.exitCode = 1
}
