/**
 * 100,000 addresses guess passwords, 2,000 times a second for a minute, while users log in from addresses that are known.
 * `node test/soak/guessing.ts`; GUESS_SECONDS, GUESS_RATE and GUESS_ADDRESSES for less. Leaves its account in docs/soak/guessing.md, and
 * fails where a user is refused, waits for too long, or mailmux takes more memory than it may.
 */
import { execFileSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { startChild } from '../bench/child.ts'
import { cpuBetween, readCpu } from '../bench/process-usage.ts'
import { makeAuthority } from '../support/certificates.ts'
import { freePort } from '../support/ports.ts'
import { openScene } from '../support/scene.ts'
import { writeAccount, type Account } from './guess-account.ts'
import type { ClientsAnswer, ClientsOrder } from './guess-clients.ts'
import { readDrops, startGuessed } from './guess-site.ts'
import { describeHere } from './here.ts'

const FOLDER = join(import.meta.dirname, '../../docs/soak')
const seconds = Number(process.env.GUESS_SECONDS ?? 60)
const rate = Number(process.env.GUESS_RATE ?? 2000)
const addresses = Number(process.env.GUESS_ADDRESSES ?? 100_000)
/** When a guesser gives up, as programs that guess do. */
const patienceMs = Number(process.env.GUESS_PATIENCE_MS ?? 3000)
/** The names that are guessed at; the first of them are those of the users who log in. */
const names = 2000
const users = 50
const loginsPerSecond = 20
/** The attack goes on for so long before the minute begins. V8 compiles meanwhile what a mailmux that has run for a while has compiled long before. */
const ONSET_SECONDS = 15
const MOST_P99_MS = 50
/** The tables of the limits, 82 MiB, and the connections that are open at a time: 356 MiB were measured, and 600 leave room for another machine. */
const MOST_GROWTH_MIB = 600

const at = new Date()
const here = describeHere()
const scene = openScene()
try {
  const authority = await makeAuthority(scene.directory)
  const store = await startChild<object, { port: number; refused: number }>(scene, '../soak/guess-store.ts')
  const port = await freePort()
  const certificate = await authority.issue('mailmux')
  const mailmux = await startGuessed(scene, { certificate, storePort: store.ready.port, port })
  const userClients = await startChild<ClientsOrder, ClientsAnswer>(scene, '../soak/guess-clients.ts')
  const guesserClients = await startChild<ClientsOrder, ClientsAnswer>(scene, '../soak/guess-clients.ts')
  const askUsers = (of: Pick<ClientsOrder, 'perSecond' | 'seconds'>): Promise<ClientsAnswer> =>
    userClients.ask({ who: 'users', port, addresses: 0, names: users, withinMs: 30_000, ...of })
  const askGuessers = (of: Pick<ClientsOrder, 'seconds'>): Promise<ClientsAnswer> =>
    guesserClients.ask({ who: 'guessers', port, addresses, names, withinMs: patienceMs, perSecond: rate, ...of })

  // Each user logs in once, so that the address is known.
  const first = await askUsers({ perSecond: users, seconds: 1 })
  const before = await mailmux.memory()
  const dropsBefore = await readDrops()
  const memory = mailmux.watchMemory(2000)

  const [, onset] = await Promise.all([
    askGuessers({ seconds: ONSET_SECONDS }),
    askUsers({ perSecond: loginsPerSecond, seconds: ONSET_SECONDS }),
  ])
  const pids = { mailmux: mailmux.pid, store: store.pid, guessers: guesserClients.pid, users: userClients.pid }
  const readAll = () => Object.entries(pids).map(([name, pid]) => ({ name, reading: readCpu([pid]) }))
  const cpuBefore = readAll()
  const delayedBefore = await mailmux.metric('mailmux_limits_hit_total{limit="penalty"}')
  const checkedBefore = (await store.ask({})).refused
  const [guessed, loggedIn] = await Promise.all([
    askGuessers({ seconds }),
    askUsers({ perSecond: loginsPerSecond, seconds }),
  ])
  const elapsedMs = seconds * 1000
  const cpu = readAll().map(({ name, reading }, n) => {
    const { ms } = cpuBetween(cpuBefore[n]!.reading, reading)
    return { name, percent: (100 * ms) / elapsedMs }
  })
  const atMost = memory.stop()
  const account: Account = {
    at,
    here,
    configured: { rate, seconds, addresses, names, users, loginsPerSecond, patienceMs, onsetSeconds: ONSET_SECONDS },
    first,
    onset,
    guessed,
    loggedIn,
    checked: (await store.ask({})).refused - checkedBefore,
    delayed: (await mailmux.metric('mailmux_limits_hit_total{limit="penalty"}')) - delayedBefore,
    dropped: (await readDrops()) - dropsBefore,
    memory: { before, atMost, after: await mailmux.memory() },
    tablesMiB: Number(
      execFileSync(process.execPath, ['--expose-gc', join(import.meta.dirname, 'guess-tables.ts')], {
        encoding: 'utf8',
      }),
    ),
    cpu,
  }
  await mailmux.stop()
  const { text, refused, p99Ms, growthMiB } = writeAccount(account)
  process.stdout.write(text)
  process.stdout.write(
    `${JSON.stringify({ users: [first.answers, onset.answers, loggedIn.answers], guessers: guessed.answers })}\n`,
  )
  if (!process.argv.includes('--dry')) {
    await mkdir(FOLDER, { recursive: true })
    await writeFile(join(FOLDER, 'guessing.md'), text)
  }
  if (refused > 0 || p99Ms >= MOST_P99_MS || growthMiB > MOST_GROWTH_MIB) process.exitCode = 1
} finally {
  await scene.close()
}
