/** Upgrades of the running mailmux: each checks the new version, starts it with the open ports, and lets this generation end once the new one serves. */
import type { UpgradeAnswer, UpgradeOrder } from '../../admin/upgrade-routes.ts'
import type { Block } from '../../blocks/block.ts'
import type { InheritedSocket } from '../../listener/inherited.ts'
import type { Log } from '../../log.ts'
import type { InstanceMetrics } from '../../metrics/instance-metrics.ts'
import type { Secret } from '../../secret.ts'
import type { ServiceManager } from '../notify.ts'
import { pack } from '../packed.ts'
import { checkProgram, whyUnsafe } from './check-program.ts'
import type { GenerationAnswers } from './messages.ts'
import { startSuccessor, type Program, type Successor, type SuccessorParts } from './successor.ts'

/** From the start of the new version until it serves. It reads its files in this time: a million users take 16 s. */
const READY_MS = 120_000

/** What main.ts knows of this program and its process. */
export type UpgradeProgram = {
  /** @param file an executable; undefined: this program, as its path leads to it now */
  check: (file: string | undefined) => Program
  run: (file: string | undefined) => Program
  /** why this process cannot be upgraded, wherever it runs so */
  whyNot: string | undefined
  /** of the user of this process */
  uid: number
}

export type UpgradeParts = {
  program: UpgradeProgram
  generation: number
  ticketSecret: Secret
  /** which the next generation tells its state too */
  serviceManager: ServiceManager | undefined
  /** the open ports. @throws Error where they cannot be passed on */
  sockets: () => InheritedSocket[]
  /** the Unix socket of the admin HTTP */
  adminSocket?: () => string | undefined
  /** how many reloads operators have ordered so far */
  reloads: () => number
  /** those in force */
  blocks: () => readonly Block[]
  /** what the limits count here */
  counts: SuccessorParts['counts']
  answers: GenerationAnswers
  /** why this generation cannot hand over now */
  whyNotNow: () => string | undefined
  /** The new generation serves. This one ends. */
  onServes: (successor: Successor) => void
  onAbandoned: () => void
  /** This process is being stopped. */
  stopping: AbortSignal
  log: Log
  metrics: Pick<InstanceMetrics, 'upgradeEnded'>
}

/** @returns the function that upgrades; its result is `error` if nothing has changed, with the reason for the operator */
export function createUpgrades(
  parts: UpgradeParts,
): (order: UpgradeOrder) => Promise<UpgradeAnswer | { error: string }> {
  const { program, generation, ticketSecret, log, metrics } = parts
  let isUnderWay = false

  /** Looks at once, so that of two orders at the same time one is refused. */
  function whyNotNow(): string | undefined {
    const why = parts.whyNotNow()
    if (why !== undefined) return `mailmux takes no upgrade now: ${why}`
    if (program.whyNot !== undefined) return program.whyNot
    return isUnderWay ? 'an upgrade is under way' : undefined
  }

  function fail(outcome: 'refused' | 'failure', detail: string): { error: string } {
    metrics.upgradeEnded(outcome)
    log.error({ detail }, 'upgrade failed: this version goes on')
    return { error: detail }
  }

  return async ({ program: file, withinMs = READY_MS }) => {
    const refused = whyNotNow()
    if (refused !== undefined) return fail('refused', refused)
    isUnderWay = true
    let outcome: 'refused' | 'failure' = 'refused'
    try {
      const unsafe = file === undefined ? undefined : await whyUnsafe(file, program.uid)
      if (unsafe !== undefined) throw new Error(unsafe)
      const version = await checkProgram(program.check(file))
      if (parts.stopping.aborted) throw new Error('mailmux is being stopped') // the ports are closed, or about to be
      outcome = 'failure'
      log.info({ version, generation: generation + 1 }, 'upgrade: starts the new version')
      const reloadsBefore = parts.reloads()
      const successor = await startSuccessor({
        program: program.run(file),
        inheritance: {
          generation: generation + 1,
          ticketSecret: pack(ticketSecret),
          serviceManager: parts.serviceManager,
          adminSocket: parts.adminSocket?.(),
        },
        blocks: parts.blocks,
        counts: parts.counts,
        ports: parts.sockets(),
        withinMs,
        answers: parts.answers,
        onAbandoned: parts.onAbandoned,
        stopping: parts.stopping,
      })
      if (parts.reloads() !== reloadsBefore) successor.reload() // it may have read the files before
      metrics.upgradeEnded('success')
      log.info({ version, generation: generation + 1, pid: successor.pid }, 'upgraded: the new version serves')
      parts.onServes(successor)
      return { version, generation: generation + 1, pid: successor.pid }
    } catch (error) {
      return fail(outcome, error instanceof Error ? error.message : String(error))
    } finally {
      isUnderWay = false
    }
  }
}
