/** What an instance does with the generations around it: hands over to the next one in an upgrade, answers it, and ends. */
import type { Server } from 'node:http'
import { descriptorOf } from '../../listener/door.ts'
import { passOn } from '../../listener/inherited.ts'
import type { Reading } from '../../metrics/readings.ts'
import type { Notifier } from '../notify.ts'
import type { Site } from '../site.ts'
import type { WorkerPool } from '../worker-pool.ts'
import type { Predecessor } from './predecessor.ts'
import { forSuccessor } from './readings.ts'
import type { Successor } from './successor.ts'
import { createUpgrades, type UpgradeParts } from './upgrades.ts'

export type HandoverParts = Omit<UpgradeParts, 'sockets' | 'answers' | 'beforeServing' | 'onServes' | 'onAbandoned'> & {
  pool: Pick<WorkerPool, 'sockets' | 'stop' | 'abandon'>
  /** the open port of the admin HTTP; undefined if there is none */
  admin: () => { host: string; port: number; server: Server } | undefined
  site: Pick<Site, 'generations' | 'leave'>
  /** of this generation and its workers */
  readings: () => Promise<Reading[]>
  predecessor: Predecessor | undefined
  notifier: Pick<Notifier, 'mainPid' | 'close'>
  /** This generation serves operators no more. */
  onRetiring: () => void
  /** It has ended. */
  onRetired: () => Promise<void>
}

export type Handover = {
  upgrade: ReturnType<typeof createUpgrades>
  /** Another process, which this one has not started, serves in its place. */
  leave: () => void
  /** The generation that serves in place of this one. */
  successor: () => Pick<Successor, 'reload'> | undefined
  /** Settles when this generation has ended after an upgrade or `leave`; undefined before. */
  retired: () => Promise<void> | undefined
}

export function createHandover(parts: HandoverParts): Handover {
  const { pool, site, readings, predecessor, notifier, log, generation } = parts
  let retired: Promise<void> | undefined
  let next: Successor | undefined

  /** Another process accepts: `successor`, or one that this one has not started. The sessions of this one end, those before login after their login, and then this process. */
  async function retire(successor: Successor | undefined): Promise<void> {
    parts.onRetiring()
    // Before this process ends: the service manager would take its end for that of the service.
    if (successor) await notifier.mainPid(successor.pid)
    await notifier.close()
    await pool.stop({ mayLogIn: true }).catch((error: unknown) => log.error({ err: error }, 'defect'))
    await predecessor?.ended // the next generation asks the older ones through this one
    await site.leave()
    await successor?.leave()
    log.info({ generation }, 'stopped')
    await parts.onRetired()
  }

  const upgrade = createUpgrades({
    ...parts,
    sockets() {
      const admin = parts.admin()
      return [...pool.sockets(), ...(admin ? passOn([admin], [descriptorOf(admin.server)]) : [])]
    },
    answers: {
      ...site.generations,
      readings: async () => [...(await readings()).map(forSuccessor), ...((await predecessor?.readings()) ?? [])],
    },
    onServes(successor) {
      next = successor
      retired = retire(successor)
    },
    onAbandoned() {
      pool.abandon()
      void parts.onRetired()
    },
  })
  return { upgrade, leave: () => void (retired ??= retire(undefined)), successor: () => next, retired: () => retired }
}
