/** Features of mailmux that cost something for each login or each chunk, switched off or on: a peer each, beside mailmux as by default. */
import { join } from 'node:path'
import { createFeaturePeer, type Switch } from '../peers/mailmux.ts'
import type { Peer } from '../peers/peer.ts'
import { readEvents, repeatTrace } from './readers.ts'

export type Feature = {
  title: string
  /** what is switched, and how */
  how: string
  peer: Peer
}

/** Limits that no client of the bench reaches, so that each login pays for the counting alone. */
const LIMITS = `
  connections_per_address: 100000
  connections_per_prefix: 100000
  sessions_per_user: 100000
  sessions_per_domain: 100000
  sessions_per_backend_user: 100000
  connection_rate: 1000000/1s
  login_rate: 1000000/1s
  user_login_rate: 1000000/1s`

/** A module that Node loads before mailmux, for what no key of the configuration switches. */
function preload(file: string): string[] {
  return ['--import', join(import.meta.dirname, file)]
}

function buildFeature(name: string, title: string, how: string, change: Switch): Feature {
  return { title, how, peer: createFeaturePeer(name, how, change) }
}

export const asByDefault = buildFeature('as-by-default', 'as by default', 'the first column', {})

export const features: Feature[] = [
  buildFeature('the-same', 'nothing', 'a second instance: what differs by chance', {}),
  buildFeature('limits', 'limits of clients', 'on: all eight limits by address, user and domain', { limits: LIMITS }),
  buildFeature('penalties', 'penalties', 'on: `penalty: {}`; no login fails here', { limits: '\n  penalty: {}' }),
  buildFeature('trace', 'trace', 'on, of a user who does not log in', { meanwhile: repeatTrace }),
  buildFeature('events', 'events', 'one reader of the stream of events', { meanwhile: readEvents }),
  buildFeature('no-identity', 'identity forwarding by ID', 'off: `forward_identity: false`', {
    backend: ', forward_identity: false',
  }),
  buildFeature('proxy-in', 'PROXY header of the client', 'on: `proxy_protocol: required`, version 1', {
    listener: ', proxy_protocol: required, trusted_proxies: [127.0.0.1]',
    expectsProxyHeader: true,
  }),
  buildFeature('proxy-out', 'PROXY header to the back end', 'on: `proxy_protocol: v1`', {
    backend: ', proxy_protocol: v1',
  }),
  buildFeature('redis', 'routes in Redis', 'on: a cached route for each user', { isInRedis: true }),
  buildFeature('no-watch', 'SessionWatch', 'no switch; off as for a session that cannot be followed (test only)', {
    nodeOptions: preload('without-watch.ts'),
  }),
  buildFeature('no-log', 'log line of each session', 'off: `level: warn`', { level: 'warn' }),
  buildFeature('no-metrics', 'metrics', 'no switch; off by a composition without recording (test only)', {
    nodeOptions: preload('without-metrics.ts'),
  }),
]
