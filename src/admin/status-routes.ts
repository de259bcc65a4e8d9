/** The state of the instance as a whole and its last hour in the API: what the status page asks every second or two. */
import { z } from 'zod'
import { PROTOCOL_NAMES } from '../protocol/registry.ts'
import { declare, type Routes } from './declared.ts'
import { historyAnswer, statusAnswer, type HistoryAnswer, type StatusAnswer } from './status-answers.ts'

export type StatusParts = {
  status: () => Promise<StatusAnswer>
  /** @param since the number of the last sample that is known */
  history: (since: number) => HistoryAnswer
}

const [PROTOCOL] = PROTOCOL_NAMES
const NOW_MS = 1_796_000_000_000

const showStatus = declare({
  method: 'get',
  path: '/status',
  right: 'read',
  summary: 'Shows the state of the instance as a whole, as the status page does',
  answer: statusAnswer,
  example: {
    answer: {
      nowMs: NOW_MS,
      sampledMs: NOW_MS - 400,
      hostname: 'mail.example.test',
      host: 'mail1',
      version: '0.2.0',
      runtime: 'node 26.10.0',
      generation: 1,
      startedMs: NOW_MS - 86_400_000,
      workers: ['up', 'up'],
      backends: [],
      connections: { open: 130, max: 10_000 },
      logins: { accepted: 5120, refused: 31, failed: 0 },
      rejected: [{ name: 'client-http', count: 2 }],
      limited: [],
      listeners: [{ name: PROTOCOL, protocol: PROTOCOL, listen: ['192.0.2.1:143'], tls: 'starttls' }],
      certificates: [
        { file: '/etc/mailmux/mail.pem', notAfterMs: NOW_MS + 5_184_000_000, names: ['mail.example.test'] },
      ],
      directory: { kind: 'redis', up: true, dataLost: false, lastUpMs: NOW_MS - 400, maxStaleMs: 3_600_000 },
      config: { file: '/etc/mailmux/mailmux.yaml', loadedMs: NOW_MS - 86_400_000 },
      movesRunning: 0,
      logLinesDropped: 0,
      shortages: 0,
    },
  },
})

const showHistory = declare({
  method: 'get',
  path: '/history',
  right: 'read',
  summary: 'Shows the last hour of the instance as samples',
  query: z.strictObject({
    since: z.coerce
      .number<string>()
      .int()
      .min(0)
      .default(0)
      .describe('the number of the last sample that is known: only later ones are in the answer'),
  }),
  answer: historyAnswer,
  example: {
    query: { since: '719' },
    answer: {
      nowMs: NOW_MS,
      everyMs: 5000,
      samples: [
        {
          number: 720,
          atMs: NOW_MS - 1200,
          accepted: 12.4,
          refused: 0.2,
          failed: 0,
          bytesFromClient: 20_480,
          bytesFromBackend: 1_048_576,
          connections: 130,
          latencyP50Ms: 18.5,
          latencyP99Ms: 92.1,
        },
      ],
    },
  },
})

export function addStatusRoutes(routes: Routes, { status, history }: StatusParts): void {
  routes.add(showStatus, () => status())
  routes.add(showHistory, ({ query }) => history(query.since))
}
