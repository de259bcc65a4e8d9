/**
 * 100,000 addresses guess passwords, 2,000 times a second for a minute, while users log in from addresses that are known.
 * `node test/soak/guessing.ts`; GUESS_SECONDS, GUESS_RATE and GUESS_ADDRESSES for less. Leaves its account in docs/soak/guessing.md, and
 * fails where a user is refused or mailmux takes more memory than it may.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { alignTable } from '../bench/render.ts'
import { makeAuthority } from '../support/certificates.ts'
import { startMailmux } from '../support/mailmux.ts'
import { startPasswordStore } from '../support/password-store.ts'
import { freePort } from '../support/ports.ts'
import { openScene } from '../support/scene.ts'
import { describeHere } from './here.ts'

const FOLDER = join(import.meta.dirname, '../../docs/soak')
const seconds = Number(process.env.GUESS_SECONDS ?? 60)
const rate = Number(process.env.GUESS_RATE ?? 2000)
const addresses = Number(process.env.GUESS_ADDRESSES ?? 100_000)
/** The names that are guessed at; the first of them are those of the users who log in. */
const NAMES = 2000
const USERS = 50
const USER_LOGINS_PER_SECOND = 20
/** A guesser gives up then, as programs that guess do. */
const GUESSER_MS = 3000
/** The tables of the limits (60 MB) and the connections that are open at a time. */
const MOST_GROWTH_MIB = 400

type Visit = { address: string; user: string; password: string; withinMs: number }

/** @returns the tagged answer and how long it took, from the command on; an empty answer if none came in time */
function visit(port: number, { address, user, password, withinMs }: Visit): Promise<{ answer: string; ms: number }> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, localAddress: balancerFor(address) })
    let text = ''
    let sentMs = performance.now()
    let isSent = false
    const end = (answer: string): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve({ answer, ms: performance.now() - sentMs })
    }
    const timer = setTimeout(() => end(''), withinMs)
    socket.on('error', (error) => end(error.message))
    socket.on('close', () => end(text))
    socket.write(`PROXY TCP4 ${address} 198.51.100.1 4711 143\r\n`)
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      if (!isSent && text.includes('\n')) {
        isSent = true
        sentMs = performance.now()
        socket.write(`a LOGIN ${user}@example.test ${password}\r\n`)
      }
      const answer = /^a .*$/m.exec(text)?.[0]
      if (answer !== undefined) end(answer)
    })
  })
}

/** The load balancer of each address: ports towards one would run out, as a closed connection keeps its port for a minute. */
function balancerFor(address: string): string {
  return address.startsWith('10.') ? `127.0.1.${(Number(address.split('.')[3]) % 16) + 1}` : '127.0.2.1'
}

function guesserAddress(n: number): string {
  return `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`
}

/** Runs `run` so many times a second until the time is over, whatever becomes of those before. */
async function pace(perSecond: number, run: (n: number) => Promise<void>): Promise<void> {
  const startedMs = performance.now()
  const all: Promise<void>[] = []
  let n = 0
  while (performance.now() - startedMs < seconds * 1000) {
    const due = ((performance.now() - startedMs) / 1000) * perSecond
    while (n < due) all.push(run(n++))
    await sleep(5)
  }
  await Promise.all(all)
}

function percentile(values: number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

const at = new Date()
const here = describeHere()
const scene = openScene()
try {
  const authority = await makeAuthority(scene.directory)
  const store = await startPasswordStore(scene)
  const port = await freePort()
  const mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    backends: {
      store1: { host: '127.0.0.1', imap: store.port, limits: { logins: 10_000 }, health: { check: 'none' } },
    },
    domains: { 'example.test': 'store1' },
    limits: { login_rate: '60/1m', connections_per_address: 100, penalty: {} },
    settings: { log: { level: 'info', format: 'json' } },
    listeners: [
      {
        name: 'guessed',
        protocol: 'imap',
        listen: [`127.0.0.1:${port}`],
        tls: 'none',
        proxy_protocol: 'required',
        trusted_proxies: ['127.0.0.0/8'],
        allow_plaintext_auth: true,
      },
    ],
  })
  const asUser = (n: number): Visit => ({
    address: `192.0.2.${n % USERS}`,
    user: `user${n % USERS}`,
    password: 'secret',
    withinMs: 30_000,
  })
  for (let n = 0; n < USERS; n++) await visit(port, asUser(n))
  const beforeBytes = await mailmux.memory()
  let mostBytes = beforeBytes
  const refused: string[] = []
  const tookMs: number[] = []
  const guesses = { answered: 0, abandoned: 0 }
  const watching = setInterval(() => {
    void mailmux.memory().then((bytes) => (mostBytes = Math.max(mostBytes, bytes)))
  }, 500)
  await Promise.all([
    pace(rate, async (n) => {
      const user = `user${Math.floor(Math.random() * NAMES)}`
      const address = guesserAddress(n % addresses)
      const { answer } = await visit(port, { address, user, password: `guess${n}`, withinMs: GUESSER_MS })
      guesses[answer.startsWith('a NO') ? 'answered' : 'abandoned']++
    }),
    pace(USER_LOGINS_PER_SECOND, async (n) => {
      const { answer, ms } = await visit(port, asUser(n))
      if (answer.startsWith('a OK')) tookMs.push(ms)
      else refused.push(answer)
    }),
  ])
  clearInterval(watching)
  const delayed = (await mailmux.metric('mailmux_limits_hit_total{limit="penalty"}')) ?? 0
  const afterBytes = await mailmux.memory()
  await mailmux.stop()
  const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(0)
  const facts: [string, string][] = [
    ['guesses', String(guesses.answered + guesses.abandoned)],
    ['guesses that were answered', String(guesses.answered)],
    ['guesses that a store has checked', String(store.logins().refused)],
    ['logins that the penalty has delayed', String(delayed)],
    ['logins of users', String(tookMs.length + refused.length)],
    ['users refused', String(refused.length)],
    [
      'p50, p99 of the logins of users, ms',
      `${percentile(tookMs, 0.5).toFixed(1)}, ${percentile(tookMs, 0.99).toFixed(1)}`,
    ],
    ['resident memory before, at most, after, MiB', `${mib(beforeBytes)}, ${mib(mostBytes)}, ${mib(afterBytes)}`],
  ]
  const table = alignTable([['what', 'measured'], ...facts]).join('\n')
  process.stdout.write(`${table}\n${refused.slice(0, 5).join('\n')}\n`)
  await mkdir(FOLDER, { recursive: true })
  await writeFile(
    join(FOLDER, 'guessing.md'),
    `# ${Math.min(addresses, rate * seconds).toLocaleString('en')} addresses guess passwords

${rate.toLocaleString('en')} times a second, for ${seconds} s, at ${NAMES} names, and give up after ${GUESSER_MS / 1000} s. Meanwhile ${USERS} of the same users log in, ${USER_LOGINS_PER_SECOND} times a second, each from the address that
has logged that user in before. One worker, \`penalty: {}\`, \`login_rate: 60/1m\`, \`connections_per_address: 100\`. The guessers and the store share the machine. Written by \`node test/soak/guessing.ts\`.

${at.toISOString()}, ${here}.

${table}
`,
  )
  if (refused.length > 0 || (mostBytes - beforeBytes) / 2 ** 20 > MOST_GROWTH_MIB) process.exitCode = 1
} finally {
  await scene.close()
}
