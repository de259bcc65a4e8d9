/** The upgrade in the API: it ends when the new version serves, or when it is clear that it will not. */
import { z } from 'zod'
import { auditOf, isOnMachine } from './access.ts'
import type { AuditLog } from './audit.ts'
import { declare, type Routes } from './declared.ts'
import { refuse } from './guard.ts'

/** For the longest start of a new version that can be asked for. */
const MAX_WITHIN_MS = 600_000
/** Longer than the check of the new version and its start together; nothing is sent meanwhile. */
export const UPGRADE_IDLE_MS = 780_000

const upgradeBody = z.strictObject({
  /** an executable on this machine; absent: the program that runs, as its path leads to it now */
  program: z
    .string()
    .max(1000)
    .regex(/^\/[^\0\r\n]*$/u, { error: 'an absolute path' })
    .optional(),
  /** until it serves */
  withinMs: z.number().int().positive().max(MAX_WITHIN_MS).optional(),
})

export type UpgradeOrder = z.infer<typeof upgradeBody>

/** The new version serves, as this process. */
export const upgradeAnswer = z.object({ version: z.string(), generation: z.number(), pid: z.number() })

export type UpgradeAnswer = z.infer<typeof upgradeAnswer>

export type UpgradeParts = {
  /** `error`: nothing has changed */
  upgrade: (order: UpgradeOrder) => Promise<UpgradeAnswer | { error: string }>
}

const orderUpgrade = declare({
  method: 'post',
  path: '/upgrade',
  right: 'operate',
  summary: 'Starts a new version, which takes over; the answer comes when it serves',
  body: upgradeBody.optional().default({}),
  answer: upgradeAnswer,
  refusals: {
    403: 'the client is on another machine',
    409: 'the new version cannot take over, and the running one goes on',
  },
  example: {
    body: { program: '/opt/mailmux/bin/mailmux', withinMs: 60_000 },
    answer: { version: '0.2.0', generation: 2, pid: 4712 },
  },
})

export function addUpgradeRoutes(routes: Routes, { upgrade }: UpgradeParts, log: AuditLog): void {
  routes.add(orderUpgrade, async ({ body, caller, c }) => {
    if (!isOnMachine(c)) return refuse(c, 403, 'an upgrade is ordered from this machine alone')
    c.env.incoming.socket.setTimeout(UPGRADE_IDLE_MS)
    log.info({ ...auditOf(caller), ...body }, 'upgrade requested by operator')
    const result = await upgrade(body)
    return 'error' in result ? refuse(c, 409, result.error) : result
  })
}
