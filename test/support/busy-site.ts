/** A made-up site under load, for pictures of the status page: the same at each run. */
import type { SessionAnswer } from '../../src/admin/answers.ts'
import type { HistoryAnswer, StatusAnswer } from '../../src/admin/status-answers.ts'
import { backendStatus, DAY_MS, sampleOf, statusOf } from './a-status.ts'
import type { MadeUp } from './made-up-admin.ts'

const HOUR_MS = 3_600_000
const EVERY_MS = 5000
const STORES = ['store1', 'store2', 'store3', 'store4', 'store5']
const NAMES = ['alice', 'bob', 'carol', 'dora', 'emil', 'frida', 'gustav', 'hanna', 'ida', 'jonas', 'klara', 'leo']

/** Numbers from 0 to 1 that look random. */
function createNoise(): () => number {
  let state = 7
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
}

/** @param nowMs when the pictures are made */
export function busySite(nowMs: number): MadeUp {
  return {
    status: () => statusAt(nowMs),
    samples: samplesBefore(nowMs),
    sessions: sessionsNow(),
    ...refusalsBefore(nowMs),
    explain,
  }
}

function statusAt(nowMs: number): StatusAnswer {
  const loads = [2140, 1987, 312, 2056, 1903]
  const backends = STORES.map((name, index) => {
    const base = { host: `${name}.example.org`, port: 143 } as const
    const addresses = [1, 2].map((nth) => ({ ...base, ip: `10.20.${index + 1}.${nth}` }))
    const rate = { loginsPerSecond: 8.4 + index * 0.7, latencyP50Ms: 14 + index * 2, latencyP99Ms: 71 + index * 9 }
    return backendStatus(name, { addresses, rate, load: { sessions: loads[index] ?? 0, logins: 1 } })
  })
  const [, , third, fourth] = backends
  if (third) Object.assign(third, { state: 'drain', stateFrom: 'directory', overMs: 600_000 })
  if (third?.rate) third.rate = { loginsPerSecond: 0 }
  const [, lost] = fourth?.addresses ?? []
  if (lost) Object.assign(lost, { state: 'down', lastError: 'backend-unreachable' })
  return statusOf({
    nowMs,
    sampledMs: nowMs,
    hostname: 'mail.example.org',
    host: 'mx1',
    version: '0.2.0',
    startedMs: nowMs - 9 * DAY_MS,
    workers: ['up', 'up', 'up', 'up'],
    backends,
    connections: { open: 8431, max: 60_000 },
    rejected: [
      { name: 'client-tls-failed', count: 212 },
      { name: 'client-login-timeout', count: 97 },
      { name: 'client-http', count: 31 },
    ],
    limited: [{ name: 'max_connections_per_client', count: 18 }],
    listeners: [
      { name: 'imap', protocol: 'imap', listen: ['0.0.0.0:143', '[::]:143'], tls: 'starttls' },
      { name: 'imaps', protocol: 'imap', listen: ['0.0.0.0:993', '[::]:993'], tls: 'implicit' },
      { name: 'pop3s', protocol: 'pop3', listen: ['0.0.0.0:995', '[::]:995'], tls: 'implicit' },
      { name: 'sieve', protocol: 'managesieve', listen: ['0.0.0.0:4190'], tls: 'starttls' },
    ],
    certificates: [
      {
        file: '/etc/mailmux/mail.example.org.pem',
        notAfterMs: nowMs + 61 * DAY_MS,
        names: ['mail.example.org', 'imap.example.org'],
      },
    ],
    directory: { kind: 'redis', up: true, dataLost: false, lastUpMs: nowMs, maxStaleMs: 24 * HOUR_MS },
    config: {
      file: '/etc/mailmux/mailmux.yaml',
      loadedMs: nowMs - 2 * DAY_MS,
      failure: {
        atMs: nowMs - 240_000,
        errors: ['/etc/mailmux/routing.yaml:12:12: error: there is no back end "store9" (did you mean "store5"?)'],
        excerpts: [
          '/etc/mailmux/routing.yaml:12:12: error: there is no back end "store9" (did you mean "store5"?)\n  ida@example.org: store9\n                   ^~~~~~',
        ],
      },
    },
    instances: {
      scope: 'all',
      instances: ['mx1', 'mx2'].map((host, index) => ({
        id: ['3fa1c09d22b4', '90be77d1a6c3'][index] ?? '',
        host,
        state: 'up',
        self: index === 0,
        version: '0.2.0',
        generation: 1,
        sessions: [8398, 8102][index] ?? 0,
        sinceMs: nowMs - 9 * DAY_MS,
      })),
    },
  })
}

function samplesBefore(nowMs: number): HistoryAnswer['samples'] {
  const noise = createNoise()
  return Array.from({ length: HOUR_MS / EVERY_MS }, (_, index) => {
    const wave = 40 + 14 * Math.sin(index / 110) + 7 * Math.sin(index / 23)
    const bump = index > 500 && index < 560 ? 30 : 0 // a store that had restarted
    return sampleOf({
      number: index + 1,
      atMs: nowMs - HOUR_MS + (index + 1) * EVERY_MS,
      accepted: wave + bump + 3 * noise(),
      refused: 1.5 + 0.8 * noise(),
      failed: bump > 0 && index < 508 ? 6 * noise() : 0,
      bytesFromClient: 310_000 + 40_000 * noise() + bump * 4000,
      bytesFromBackend: 5_400_000 + 700_000 * noise() + wave * 40_000,
      connections: 8400,
      latencyP50Ms: 16 + 2 * noise() + bump / 4,
      latencyP99Ms: 75 + 8 * noise() + bump * 3,
    })
  })
}

function sessionsNow(): SessionAnswer[] {
  const noise = createNoise()
  return Array.from({ length: 5000 }, (_, index): SessionAnswer => {
    const isSieve = index % 41 === 7
    return {
      id: `3fa1c09d-${index}`,
      user: `${NAMES[index % NAMES.length] ?? ''}${Math.floor(index / NAMES.length) || ''}@example.org`,
      client: `198.51.100.${1 + (index % 250)}`,
      listener: isSieve ? 'sieve' : 'imaps',
      protocol: isSieve ? 'managesieve' : 'imap',
      phase: 'relaying',
      backend: STORES[index % 5] ?? '',
      tls: 'TLSv1.3',
      ageSeconds: 93_000 - index * 17,
      idleSeconds: Math.floor(noise() * 900),
      instance: `mx${1 + (index % 2)}`,
    }
  })
}

function refusalsBefore(nowMs: number): Pick<MadeUp, 'refusals' | 'refusalCounts'> {
  const report = (
    secondsAgo: number,
    attempted: string,
    backend: string | undefined,
    reason: string,
    detail: string,
  ) => ({
    atMs: nowMs - secondsAgo * 1000,
    session: `3fa1c09d-${secondsAgo}`,
    attempted,
    client: '203.0.113.9',
    listener: 'imaps',
    protocol: 'imap' as const,
    mechanism: 'PLAIN',
    ...(backend !== undefined && { backend }),
    reason,
    detail,
  })
  const words = 'the back end has refused: NO [AUTHENTICATIONFAILED] Authentication failed.'
  return {
    refusalCounts: [
      { reason: 'authentication-failed', count: 5120 },
      { code: 'backend-unreachable', count: 24 },
      { code: 'disabled', count: 3 },
    ],
    refusals: [
      report(4, 'alice', 'store1', 'authentication-failed', words),
      report(31, 'info@example.org', undefined, 'authentication-failed', 'no such user in the directory'),
      report(58, 'klara@example.org', 'store3', 'backend-drained', 'store3 is being drained'),
    ],
  }
}

function explain(user: string): object {
  const name = `${user}@example.org`
  return {
    usable: true,
    login: { user, protocol: 'imap', listener: 'imaps', tls: 'implicit' },
    name: {
      user: name,
      defaultDomain: { domain: 'example.org', by: 'listener' },
      notes: [{ what: 'default-domain', domain: 'example.org' }],
    },
    steps: [
      { asked: 'users', key: name, outcome: 'nothing' },
      { asked: 'memory', key: name, outcome: 'found', detail: 'store1, active', ageMs: 192_000, leftMs: 408_000 },
    ],
    route: { source: 'cache', backend: 'store1', login: name },
    backend: backendStatus('store1', {}),
  }
}
