/** What the scale run measures in: a Redis full of routes, and instances before it. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Child, startChild } from '../bench/child.ts'
import { isReady } from '../bench/peers/mailmux.ts'
import { startProxy } from '../bench/peers/peer.ts'
import { MAIN, NODE_OF_COMMAND } from '../support/command.ts'
import { freePort } from '../support/ports.ts'
import { type Redis, startRedis } from '../support/redis.ts'
import type { Scene } from '../support/scene.ts'
import type { InstanceAnswer, InstanceOrder } from './scale-instance.ts'
import { type Routes, writeRoutes } from './write-routes.ts'

export async function startFullRedis(
  scene: Scene,
  routes: number,
  more: Partial<Routes> = {},
): Promise<{ redis: Redis; pid: number }> {
  const redis = await startRedis(scene)
  await writeRoutes(redis, { users: routes, backend: 'store1', ...more })
  return { redis, pid: await readInfo(redis, 'process_id') }
}

/** A number out of Redis's INFO. */
export async function readInfo(redis: Redis, field: string): Promise<number> {
  const info = await redis.command('INFO')
  const value = new RegExp(`^${field}:(\\d+)`, 'm').exec(info)?.[1]
  if (value === undefined) throw new Error(`Redis says nothing of ${field}`)
  return Number(value)
}

export type ConfigurationOptions = {
  redis: Redis
  cacheSize?: number
  /** of store1 and store2; default: one where nobody listens, for measures that connect to none */
  storePort?: number
}

/** Writes both files; IMAP in clear and the admin interface listen. Redis has long to answer: a busy machine makes figures worse, not a failure. */
export async function writeConfiguration(
  scene: Scene,
  { redis, cacheSize, storePort }: ConfigurationOptions,
): Promise<{ configFile: string; clear: number; admin: number }> {
  const clear = await freePort()
  const admin = await freePort()
  const port = storePort ?? (await freePort())
  const folder = join(scene.directory, `instance-${clear}`)
  await mkdir(folder)
  const configFile = join(folder, 'mailmux.yaml')
  const size = cacheSize === undefined ? '' : `, cache_size: ${cacheSize}`
  await writeFile(
    configFile,
    `hostname: localhost
listeners:
  - {name: imap, protocol: imap, listen: ["127.0.0.1:${clear}"], tls: none, allow_plaintext_auth: true}
directory: {redis: {url: "${redis.url}", timeout: 10s${size}}}
routing: routing.yaml
admin: {listen: "127.0.0.1:${admin}"}
log: {level: warn, format: json}
`,
  )
  const store = `{host: 127.0.0.1, imap: ${port}, tls: none}`
  await writeFile(join(folder, 'routing.yaml'), `backends:\n  store1: ${store}\n  store2: ${store}\n`)
  return { configFile, clear, admin }
}

export type Instance = Child<InstanceOrder, InstanceAnswer>

/** Routing alone, in a child process. */
export async function startInstance(scene: Scene, options: ConfigurationOptions): Promise<Instance> {
  const { configFile } = await writeConfiguration(scene, options)
  const instance = await startChild<InstanceOrder, InstanceAnswer>(scene, '../soak/scale-instance.ts')
  await instance.ask({ do: 'open', configFile })
  return instance
}

export type Whole = { pid: number; clear: number; admin: number; stop: () => Promise<void> }

/** A whole mailmux, as `mailmux run` starts it. */
export async function startWhole(scene: Scene, options: ConfigurationOptions): Promise<Whole> {
  const { configFile, clear, admin } = await writeConfiguration(scene, options)
  const command = [...NODE_OF_COMMAND, MAIN, 'run', '-c', configFile]
  return { ...(await startProxy(scene, 'mailmux', command, () => isReady(admin))), clear, admin }
}
