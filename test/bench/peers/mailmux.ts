/**
 * mailmux from this checkout, one worker: on Node as the command runs it, and on Bun. On Node three peers, by where a user's route is:
 * the domain's, one of his own in the routing file, or one of his own in Redis. The Redis is none of the measured processes.
 */
import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import type { Leaf } from '../../support/certificates.ts'
import { MAIN, NODE_OF_COMMAND } from '../../support/command.ts'
import { freePort } from '../../support/ports.ts'
import { startRedis } from '../../support/redis.ts'
import type { Scene } from '../../support/scene.ts'
import { DOMAIN, userName, USERS } from '../message.ts'
import { BUN, describeBun } from './bun.ts'
import { type Door, type Peer, startProxy, type PeerSetup } from './peer.ts'

const run = promisify(execFile)

const CHECKOUT = join(import.meta.dirname, '../../..')

type Ports = Record<Door | 'admin', number>

/** The value of `directory` in the main file, and the users and domains of the routing file. */
type Routes = { directory: string; routing: string; stop?: () => Promise<void> }

/** How a mailmux differs from one as by default. Texts are put into its files. */
export type Switch = {
  limits?: string
  level?: string
  /** behind the keys of the listener for IMAP, and of the back end */
  listener?: string
  backend?: string
  isInRedis?: true
  expectsProxyHeader?: true
  nodeOptions?: string[]
  /** Begins what an operator does while it is measured; gives what ends it. */
  meanwhile?: (api: string, token: string) => Promise<() => Promise<void>>
}

/** The token of the API, which only a `meanwhile` needs. */
const TOKEN = 'a-token-of-the-bench-that-is-no-secret'

function buildConfiguration(
  certificate: Leaf,
  ports: Ports,
  directory: string,
  workers: number,
  { limits, level = 'info', listener = '', meanwhile }: Switch,
): string {
  return `
hostname: localhost
workers: ${workers}
listeners:
  - {name: imap, protocol: imap, listen: ["127.0.0.1:${ports.imap}"], tls: none, allow_plaintext_auth: true${listener}}
  - {name: imaps, protocol: imap, listen: ["127.0.0.1:${ports.imaps}"], tls: implicit}
  - {name: pop3, protocol: pop3, listen: ["127.0.0.1:${ports.pop3}"], tls: none, allow_plaintext_auth: true}
tls:
  certificates:
    - {cert: ${certificate.certFile}, key: ${certificate.keyFile}}
directory: ${directory}
routing: routing.yaml
admin: {listen: "127.0.0.1:${ports.admin}"${meanwhile === undefined ? '' : ', token_file: admin.token'}}
log: {level: ${level}, format: json}
${limits === undefined ? '' : `limits:${limits}\n`}`
}

function buildRouting({ backend }: PeerSetup, routes: string, keys = ''): string {
  return `
backends:
  sink: {host: 127.0.0.1, imap: ${backend.imap}, pop3: ${backend.pop3}, tls: none${keys}}
${routes}
`
}

function byDomain(): Promise<Routes> {
  return Promise.resolve({ directory: '{static: {}}', routing: `domains:\n  ${DOMAIN}: {backend: sink}` })
}

function byUser(): Promise<Routes> {
  const users = Array.from({ length: USERS }, (_, number) => `  ${userName(number)}: sink`)
  return Promise.resolve({ directory: '{static: {}}', routing: ['users:', ...users].join('\n') })
}

/** So many users of the domain, counted from 0. */
async function inRedis(scene: Scene, routes: number): Promise<Routes> {
  const redis = await startRedis(scene)
  const key = `'mailmux:user:' .. string.gsub('${userName(0)}', '0', string.format('%d', number))`
  await redis.command('EVAL', `for number = 0, ${routes - 1} do redis.call('HSET', ${key}, 'backend', 'sink') end`, '0')
  return { directory: `{redis: {url: "${redis.url}"}}`, routing: '', stop: redis.stop }
}

export async function isReady(adminPort: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${adminPort}/readyz`)
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false
  }
}

/** How often a route came from where. */
async function accountForLookups(adminPort: number): Promise<string> {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text()
  const series = text.matchAll(/^mailmux_route_lookups_total\{source="(\w+)"\} (\d+)$/gm)
  const counts = [...series].filter(([, , count]) => count !== '0').map(([, source, count]) => `${count} ${source}`)
  return `routes found: ${counts.join(', ')}`
}

async function readCommit(cwd: string): Promise<string> {
  try {
    const { stdout: commit } = await run('git', ['rev-parse', '--short=12', 'HEAD'], { cwd })
    const { stdout: changes } = await run('git', ['status', '--porcelain', '--', 'src'], { cwd })
    return changes === '' ? commit.trim() : `${commit.trim()} with changes`
  } catch {
    return 'not committed'
  }
}

type Variant = {
  name: string
  packages?: string[]
  remark: string
  version: () => Promise<string>
  routes: (scene: Scene) => Promise<Routes>
  /** the program that runs mailmux, with its options */
  runtime?: string[]
  /** the file that it runs, of this checkout or of another one */
  main?: string
  workers?: number
  change?: Switch
}

function createPeer({
  name,
  packages = [],
  remark,
  version,
  routes,
  runtime,
  main = MAIN,
  workers = 1,
  change = {},
}: Variant): Peer {
  return {
    name,
    packages,
    remark,
    version,
    start: async (around) => {
      const [imap, imaps, pop3, admin] = [await freePort(), await freePort(), await freePort(), await freePort()]
      const { directory, routing, stop: stopDirectory } = await routes(around.scene)
      const folder = join(around.scene.directory, `${name}-${imap}`)
      await mkdir(folder)
      const file = join(folder, 'mailmux.yaml')
      await writeFile(
        file,
        buildConfiguration(around.certificate, { imap, imaps, pop3, admin }, directory, workers, change),
      )
      await writeFile(join(folder, 'routing.yaml'), buildRouting(around, routing, change.backend))
      await writeFile(join(folder, 'admin.token'), TOKEN, { mode: 0o600 })
      const program = runtime ?? [...NODE_OF_COMMAND, ...around.nodeOptions, ...(change.nodeOptions ?? [])]
      const command = [...program, main, 'run', '-c', file]
      const { pid, stop } = await startProxy(around.scene, name, command, () => isReady(admin))
      const endMeanwhile = await change.meanwhile?.(`http://127.0.0.1:${admin}/api/v1`, TOKEN)
      return {
        pids: [pid],
        ports: { imap, imaps, pop3 },
        ...(change.expectsProxyHeader && { expectsProxyHeader: true }),
        account: () => accountForLookups(admin),
        stop: async () => {
          await endMeanwhile?.()
          await stop()
          await stopDirectory?.()
        },
      }
    },
  }
}

const REDIS_PACKAGES = ['redis-server', 'redis-tools']

export const mailmux = createPeer({
  name: 'mailmux',
  remark: 'one process; one route for the domain, in the routing file',
  version: async () => `${await readCommit(CHECKOUT)} on node ${process.version}`,
  routes: byDomain,
})

/** @param checkout the folder of another version, with its own packages; it gets the same configuration */
export function createPeerBefore(checkout: string): Peer {
  return createPeer({
    name: 'before',
    remark: 'as mailmux',
    version: () => readCommit(checkout),
    routes: byDomain,
    main: resolve(checkout, 'src/main.ts'),
  })
}

export const mailmuxStatic = createPeer({
  name: 'mailmux-static',
  remark: 'one process; a route for each user, in the routing file',
  version: () => Promise.resolve('as mailmux'),
  routes: byUser,
})

export const mailmuxRedis = createPeer({
  name: 'mailmux-redis',
  packages: REDIS_PACKAGES,
  remark:
    'one process; a route for each user, in Redis, remembered after his first login; Redis itself is not measured',
  version: async () => {
    const { stdout } = await run('redis-server', ['--version'])
    return `as mailmux, with redis ${/v=(\S+)/.exec(stdout)?.[1] ?? 'unknown'}`
  },
  routes: (scene) => inRedis(scene, USERS),
})

export const mailmuxBun = createPeer({
  name: 'mailmux-bun',
  remark: 'one process; routes as mailmux',
  version: async () => `as mailmux, on ${await describeBun()}`,
  routes: byDomain,
  runtime: [BUN],
})

function createPeerWithRoutes(name: string, routes: number, runtime?: string[]): Peer {
  return createPeer({
    name,
    packages: REDIS_PACKAGES,
    remark: `one process; ${routes.toLocaleString('en-US')} routes in Redis`,
    version: () => Promise.resolve(runtime === undefined ? 'as mailmux-redis' : 'as mailmux-redis, on Bun'),
    routes: (scene) => inRedis(scene, routes),
    ...(runtime && { runtime }),
  })
}

const FEW = 10
const MANY = 1_000_000
export const mailmuxTenRoutes = createPeerWithRoutes('mailmux-few-routes', FEW)
export const mailmuxMillionRoutes = createPeerWithRoutes('mailmux-many-routes', MANY)
export const mailmuxBunTenRoutes = createPeerWithRoutes('mailmux-bun-few-routes', FEW, [BUN])
export const mailmuxBunMillionRoutes = createPeerWithRoutes('mailmux-bun-many-routes', MANY, [BUN])

function createPeerOfTwoWorkers(name: string, one: string, runtime?: string[]): Peer {
  return createPeer({
    name,
    remark: 'two workers and their supervisor; routes as mailmux',
    version: () => Promise.resolve(`as ${one}`),
    routes: byDomain,
    workers: 2,
    ...(runtime && { runtime }),
  })
}

export const mailmuxTwoWorkers = createPeerOfTwoWorkers('mailmux-2-workers', 'mailmux')
export const mailmuxBunTwoWorkers = createPeerOfTwoWorkers('mailmux-bun-2-workers', 'mailmux-bun', [BUN])

/** @param remark what is switched */
export function createFeaturePeer(name: string, remark: string, change: Switch): Peer {
  return createPeer({
    name,
    packages: change.isInRedis ? REDIS_PACKAGES : [],
    remark,
    version: async () => `${await readCommit(CHECKOUT)} on node ${process.version}`,
    routes: change.isInRedis ? (scene) => inRedis(scene, USERS) : byDomain,
    change,
  })
}
