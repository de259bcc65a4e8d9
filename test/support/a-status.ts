/** The state of a made-up instance in which everything is well, and changes to it. */
import type { HistoryAnswer, StatusAnswer } from '../../src/admin/status-answers.ts'

export const DAY_MS = 86_400_000

export type BackendStatus = NonNullable<StatusAnswer['backends']>[number]
type Address = BackendStatus['addresses'][number]
type Changes = Partial<Omit<BackendStatus, 'addresses' | 'load'>> & {
  addresses?: readonly Partial<Address>[]
  load?: Partial<BackendStatus['load']>
}

const ADDRESS: Address = {
  protocol: 'imap',
  host: 'a',
  ip: '192.0.2.1',
  port: 143,
  source: 'name',
  state: 'up',
  sinceMs: 0,
}

export function backendStatus(name: string, { addresses = [{}], load, ...changes }: Changes): BackendStatus {
  return {
    name,
    up: true,
    state: 'up',
    stateFrom: 'routing',
    check: 'greeting',
    addresses: addresses.map((one) => ({ ...ADDRESS, ...one })),
    leg: { tls: 'none', proxyHeader: 'none', forwardsIdentity: false },
    load: { sessions: 0, logins: 0, waiting: 0, limits: { logins: 100, waitMs: 30_000, queue: 100 }, ...load },
    rate: { loginsPerSecond: 0 },
    ...changes,
  }
}

export function statusOf(changes: Partial<StatusAnswer>): StatusAnswer {
  return {
    nowMs: 1000,
    sampledMs: 1000,
    hostname: 'mail.example.test',
    host: 'mx1',
    version: '0.0.0',
    runtime: 'node 26.10.0',
    generation: 1,
    startedMs: 0,
    workers: ['up'],
    backends: [backendStatus('store1', {})],
    connections: { open: 0, max: 1000 },
    logins: { accepted: 0, refused: 0, failed: 0 },
    rejected: [],
    limited: [],
    listeners: [],
    certificates: [],
    directory: { kind: 'static', up: true, dataLost: false },
    config: { file: 'mailmux.yaml', loadedMs: 0 },
    instances: { instances: [], scope: 'instance', why: 'the directory is not Redis' },
    movesRunning: 0,
    logLinesDropped: 0,
    shortages: 0,
    ...changes,
  }
}

type Sample = HistoryAnswer['samples'][number]

export function sampleOf(changes: Partial<Sample>): Sample {
  return {
    number: 1,
    atMs: 0,
    accepted: 0,
    refused: 0,
    failed: 0,
    bytesFromClient: 0,
    bytesFromBackend: 0,
    connections: 0,
    latencyP50Ms: null,
    latencyP99Ms: null,
    ...changes,
  }
}
