/**
 * A store comes back under a wave: as many clients as there are want in, and have wanted to while it was away. What the store is given
 * is measured at the store: by the logins in its own log, by the connections that the kernel knows at its port.
 */
import { readFile } from 'node:fs/promises'
import { makeAuthority } from './certificates.ts'
import { until } from './deadline.ts'
import { startDovecot } from './dovecot.ts'
import { type Mailmux, startMailmux, toBackend, type YamlMap } from './mailmux.ts'
import { createRandom } from './random.ts'
import { openScene, type Scene } from './scene.ts'
import { visitUntilIn } from './wave-client.ts'

/**
 * What this store bears: connections that have not logged in, and sessions. With more of the first Dovecot throws the oldest out,
 * with more of the second it drops who has just logged in. Small, as the machine that the tests run on is.
 */
export const STORE_LOGINS = 60
export const STORE_SESSIONS = 60

export type WaveOptions = {
  clients: number
  /** `limits` and `slow_start` of the back end */
  backend: YamlMap
  /** has the store keep its session processes: it takes a multiple of the logins then */
  reuse: boolean
  /** who is not in by then is counted and sent home */
  deadlineMs: number
  /** how long a client that was sent away stays away at least; at most twice that */
  leastMs: number
  seed: number
}

export type WaveReport = {
  /** logins that the store has accepted in each second since it was back */
  perSecond: number[]
  /** logins that were trying already when it came back, and are in no line */
  underWay: number
  /** the most connections that it had at once */
  mostConnections: number
  /** how many clients have been in, and how long that took since it was back */
  clientsIn: number
  tookMs: number
  /** times that clients were told to come back once it was back */
  refused: number
  /** times that it was marked down after that */
  relapses: number
  /** what it had to say about being asked too much */
  complaints: string[]
}

export async function runRecoveryWave(options: WaveOptions): Promise<WaveReport> {
  const scene = openScene()
  try {
    return await runIn(scene, options)
  } finally {
    await scene.close()
  }
}

async function runIn(scene: Scene, options: WaveOptions): Promise<WaveReport> {
  const { clients, backend, reuse, deadlineMs, leastMs, seed } = options
  const authority = await makeAuthority(scene.directory)
  const users = Array.from({ length: 50 }, (_, i) => `u${i}@example.test`)
  const logins: number[] = []
  const complaints: string[] = []
  const dovecot = await startDovecot(scene, {
    name: 'store',
    users: Object.fromEntries(users.map((user) => [user, 'secret'])),
    extra: `service imap-login {
  process_limit = 1
  client_limit = ${STORE_LOGINS}
}
service imap {
  process_limit = ${STORE_SESSIONS}
  ${reuse ? 'service_count = 0' : ''}
}`,
    show: (line) => {
      if (/imap-login: (?:Info: )?Login: /.test(line)) logins.push(performance.now())
      else if (
        /process_limit|client_limit|queue full|being dropped|Internal login failure|(?:Error|Fatal|Panic): /.test(line)
      )
        complaints.push(line)
    },
  })
  const mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    backends: { store: { ...toBackend(dovecot), ...backend } },
    domains: { 'example.test': 'store' },
    limits: { failure_delay: '0s' },
    settings: { log: { level: 'info', format: 'json' } },
  })

  await dovecot.stop()
  const random = createRandom(seed)
  let refused = 0
  const onRefused = (): void => {
    refused += 1
  }
  const home = new AbortController()
  scene.closeLater(() => home.abort())
  let clientsIn = 0
  const everybody = Promise.all(
    Array.from({ length: clients }, async (_, i) => {
      const who = { user: users[i % users.length] ?? '', password: 'secret' }
      const { signal } = home
      await visitUntilIn({ port: mailmux.ports.imapClear, ...who, leastMs, random, onRefused, signal })
      clientsIn++
    }),
  )
  await mailmux.waitForLog(({ msg }) => msg === 'back end down', 'that the store is down', 20_000)
  await until(
    60_000,
    () => (refused >= clients ? true : undefined),
    () => `of ${clients} clients ${refused} have been sent away`,
  )

  logins.length = complaints.length = 0
  const connections = watchConnections(dovecot.ports.imap)
  try {
    await dovecot.restart()
    const up = await mailmux.waitForLog(({ msg }) => msg === 'back end up', 'that the store is up again', 20_000)
    // When it was, not when it was heard of: logins that are heard of late then only seem later than they were.
    const back = Date.parse(String(up.time)) - performance.timeOrigin
    refused = 0
    const late = setTimeout(() => home.abort(), deadlineMs)
    await everybody.catch((error: unknown) => {
      if (!home.signal.aborted) throw error
    })
    clearTimeout(late)
    return {
      perSecond: countPerSecond(logins, back),
      underWay: Number(mailmux.log().findLast(({ msg }) => msg === 'slow start')?.underWay ?? 0),
      mostConnections: connections.most(),
      clientsIn,
      tookMs: performance.now() - back,
      refused,
      relapses: timesDown(mailmux) - 1,
      complaints,
    }
  } finally {
    connections.stop()
  }
}

function timesDown(mailmux: Mailmux): number {
  return mailmux.log().filter(({ msg, protocol }) => msg === 'back end down' && protocol === 'imap').length
}

/** How many of the times fall into each second from `since` on. Pure. */
export function countPerSecond(times: readonly number[], since: number): number[] {
  const counts: number[] = []
  for (const time of times) {
    const second = Math.max(0, Math.floor((time - since) / 1000))
    while (counts.length <= second) counts.push(0)
    counts[second] = (counts[second] ?? 0) + 1
  }
  return counts
}

/** Ten times a second: rare enough not to be felt, and a wave lasts longer. */
const LOOK_EVERY_MS = 100

/** Looks at the kernel's table of TCP connections again and again. */
function watchConnections(port: number): { most: () => number; stop: () => void } {
  const local = new RegExp(
    `^ *\\d+: [0-9A-F]{8}:${port.toString(16).toUpperCase().padStart(4, '0')} [0-9A-F:]+ 01 `,
    'gm',
  )
  let most = 0
  let looking = false
  const look = async (): Promise<void> => {
    if (looking) return
    looking = true
    const table = await readFile('/proc/net/tcp', 'latin1')
    most = Math.max(most, table.match(local)?.length ?? 0)
    looking = false
  }
  const timer = setInterval(() => void look(), LOOK_EVERY_MS)
  return { most: () => most, stop: () => clearInterval(timer) }
}
