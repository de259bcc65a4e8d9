/**
 * mailmux from this checkout, run as `make run` runs it: on the node of this process, one worker. Three peers, by where a user's route is:
 * the domain's, one of his own in the routing file, or one of his own in Redis. The Redis is none of the measured processes.
 */
import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '../../support/ports.ts'
import { startRedis } from '../../support/redis.ts'
import type { Scene } from '../../support/scene.ts'
import { USERS } from '../load-orders.ts'
import { type Peer, startProxy, type Surroundings } from './peer.ts'

const run = promisify(execFile)

const CHECKOUT = join(import.meta.dirname, '../../..')

type Ports = { clear: number; tls: number; admin: number }

/** The value of `directory` in the main file, and the users and domains of the routing file. */
type Routes = { directory: string; routing: string }

function buildConfiguration({ certificate }: Surroundings, ports: Ports, directory: string): string {
  return `
hostname: localhost
listeners:
  - {name: imap, protocol: imap, listen: ["127.0.0.1:${ports.clear}"], tls: none, allow_plaintext_auth: true}
  - {name: imaps, protocol: imap, listen: ["127.0.0.1:${ports.tls}"], tls: implicit}
tls:
  certificates:
    - {cert: ${certificate.certFile}, key: ${certificate.keyFile}}
directory: ${directory}
routing: routing.yaml
admin: {listen: "127.0.0.1:${ports.admin}"}
log: {level: info, format: json}
`
}

function buildRouting({ sinkPort }: Surroundings, routes: string): string {
  return `
backends:
  sink: {host: 127.0.0.1, imap: ${sinkPort}, tls: none}
${routes}
`
}

function byDomain(): Promise<Routes> {
  return Promise.resolve({ directory: '{static: {}}', routing: 'domains:\n  example.test: {backend: sink}' })
}

function byUser(): Promise<Routes> {
  const users = Array.from({ length: USERS }, (_, user) => `  user${user}@example.test: sink`)
  return Promise.resolve({ directory: '{static: {}}', routing: ['users:', ...users].join('\n') })
}

async function byRedis(scene: Scene): Promise<Routes> {
  const redis = await startRedis(scene)
  const write = `for user = 0, ${USERS - 1} do redis.call('HSET', 'mailmux:user:user' .. user .. '@example.test', 'backend', 'sink') end`
  await redis.command('EVAL', write, '0')
  return { directory: `{redis: {url: "${redis.url}", prefix: "mailmux:"}}`, routing: '' }
}

async function isReady(adminPort: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${adminPort}/readyz`)
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false
  }
}

async function readCommit(): Promise<string> {
  try {
    const { stdout: commit } = await run('git', ['rev-parse', '--short=12', 'HEAD'], { cwd: CHECKOUT })
    const { stdout: changes } = await run('git', ['status', '--porcelain', '--', 'src'], { cwd: CHECKOUT })
    return changes === '' ? commit.trim() : `${commit.trim()} with changes`
  } catch {
    return 'not committed'
  }
}

function createPeer(name: string, packages: string[], routes: (scene: Scene) => Promise<Routes>): Peer {
  return {
    name,
    packages,
    version: async () => `${await readCommit()} on node ${process.version}`,
    async start(around) {
      const ports = { clear: await freePort(), tls: await freePort(), admin: await freePort() }
      const { directory, routing } = await routes(around.scene)
      const folder = join(around.scene.directory, `${name}-${ports.clear}`)
      await mkdir(folder)
      const file = join(folder, 'mailmux.yaml')
      await writeFile(file, buildConfiguration(around, ports, directory))
      await writeFile(join(folder, 'routing.yaml'), buildRouting(around, routing))
      const command = [process.execPath, ...around.nodeOptions, join(CHECKOUT, 'src/main.ts'), 'run', '-c', file]
      const { pid, stop } = await startProxy(around.scene, name, command, () => isReady(ports.admin))
      return { pid, ports, stop }
    },
  }
}

export const mailmux = createPeer('mailmux', [], byDomain)
export const mailmuxStatic = createPeer('mailmux-static', [], byUser)
export const mailmuxRedis = createPeer('mailmux-redis', ['redis-server', 'redis-tools'], byRedis)
