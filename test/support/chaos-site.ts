/** What chaos happens to: three real stores, one Redis that forgets nothing, two mailmux that share them, and ways to hurt each. */
import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { makeAuthority } from './certificates.ts'
import type { Harm, Target } from './chaos-plan.ts'
import type { VisitRecord } from './chaos-record.ts'
import { type Dovecot, startDovecot } from './dovecot.ts'
import { type Mailmux, startNamedMailmux, toBackend } from './mailmux.ts'
import { type Redis, startRedis } from './redis.ts'
import { openScene, type Scene } from './scene.ts'
import { directoryConnected, PASSWORD, STORES, type StoreName } from './site.ts'

/** mailmux gives a back end so long. The default of 20 s would leave a run of a minute little to see. */
export const BACKEND_TIMEOUT_MS = 3_000

/** A session that is told to end has so long. The default of a minute is as long as the run. */
export const END_TIMEOUT_MS = 2_000
/** of the admin API, which ends sessions only for operators that have it */
export const CHAOS_TOKEN = 'chaos-token'

export type ChaosSite = {
  scene: Scene
  stores: Record<StoreName, Dovecot>
  /** one for each mailmux, and the same unless they were kept apart */
  redises: readonly Redis[]
  instances: readonly Mailmux[]
  /** Gives how to undo it; resolves when it is done. */
  strike: (target: Target, harm: Harm) => Promise<() => Promise<void> | void>
}

export type ChaosSiteOptions = {
  record: VisitRecord
  /** Each mailmux has a Redis of its own: what must not be, to see that it is found. */
  apart?: boolean
}

export async function startChaosSite({ record, apart = false }: ChaosSiteOptions): Promise<ChaosSite> {
  const scene = openScene()
  try {
    const authority = await makeAuthority(scene.directory)
    const certificate = await authority.issue('mailmux')
    const startStore = async (name: StoreName) => {
      const mailDirectory = join(scene.directory, `mail-${name}`)
      await mkdir(mailDirectory)
      await chmod(mailDirectory, 0o777) // Dovecot makes the mailbox of whoever comes, and is not who we are
      return startDovecot(scene, {
        name,
        users: {},
        mailDirectory,
        extra: `mail_debug = yes\npassdb {\n  driver = static\n  args = password=${PASSWORD}\n}`,
        show: (line) => record.hear(name, line),
      })
    }
    const [store1, store2, store3] = await Promise.all([
      startStore('store1'),
      startStore('store2'),
      startStore('store3'),
    ])
    const stores = { store1, store2, store3 }
    const redis = await startRedis(scene, { durable: true })
    const redises = [redis, apart ? await startRedis(scene, { durable: true }) : redis]
    const startInstance = async (name: string, { url }: Redis) => {
      const mailmux = await startNamedMailmux(scene, name, {
        certificate,
        backends: Object.fromEntries(STORES.map((store) => [store, toBackend(stores[store])])),
        directory: { redis: { url, prefix: 'mailmux:', timeout: '500ms' } },
        limits: { backend_timeout: `${BACKEND_TIMEOUT_MS}ms`, end_timeout: `${END_TIMEOUT_MS}ms` },
        adminToken: CHAOS_TOKEN,
        settings: { log: { level: 'info', format: 'json' } },
        routing: { placement: 'hash' },
      })
      await directoryConnected(mailmux)
      return mailmux
    }
    const instances = await Promise.all(redises.map((own, index) => startInstance(`mailmux-${index + 1}`, own)))

    const strikeStore = async (name: StoreName, harm: Harm): Promise<() => Promise<void> | void> => {
      const store = stores[name]
      if (harm === 'hang') return store.hang()
      if (harm === 'slow') return store.slow()
      await (harm === 'kill' ? store.kill() : store.stop())
      record.died(name)
      return () => store.restart()
    }
    const strikeRedis = async (harm: Harm): Promise<() => Promise<void> | void> => {
      if (harm === 'hang') {
        redis.pause()
        return redis.resume
      }
      if (harm === 'slow') return redis.slow()
      await (harm === 'kill' ? redis.kill() : redis.stop())
      return () => redis.restart()
    }
    const strike = (target: Target, harm: Harm) => (target === 'redis' ? strikeRedis(harm) : strikeStore(target, harm))
    return { scene, stores, redises, instances, strike }
  } catch (error) {
    await scene.close()
    throw error
  }
}
