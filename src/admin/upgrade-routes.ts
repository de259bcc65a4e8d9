/** The upgrade in the API: it ends when the new version serves, or when it is clear that it will not. */
import type { HttpBindings } from '@hono/node-server'
import type { Hono } from 'hono'
import { z } from 'zod'
import type { Log } from '../log.ts'
import type { Secret } from '../secret.ts'
import { boundBody, isWithinMachine, onlyWithToken, peerOf, refuse } from './guard.ts'

/** For the longest start of a new version that can be asked for. */
const MAX_WITHIN_MS = 600_000
/** Longer than the check of the new version and its start together; nothing is sent meanwhile. */
export const UPGRADE_IDLE_MS = 780_000

const upgradeBody = z.strictObject({
  /** an executable on this machine; absent: the program that runs, as its path leads to it now */
  program: z
    .string()
    .max(1000)
    .regex(/^\/[^\0\r\n]*$/u)
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

type Env = { Bindings: HttpBindings }
type Parts = UpgradeParts & { token: () => Secret | undefined }

export function addUpgradeRoutes(api: Hono<Env>, { token, upgrade }: Parts, log: Log): void {
  api.post('/upgrade', onlyWithToken(token), boundBody, async (c) => {
    if (!isWithinMachine(c.env.incoming.socket)) return refuse(c, 403, 'an upgrade is ordered from this machine alone')
    const text = await c.req.text()
    const body = upgradeBody.safeParse(text === '' ? {} : parseJson(text))
    if (!body.success) {
      return refuse(
        c,
        400,
        'the body may have {"program": "/absolute/path", "withinMs": up to 600000} and nothing else',
      )
    }
    c.env.incoming.socket.setTimeout(UPGRADE_IDLE_MS)
    log.info({ peer: peerOf(c), ...body.data }, 'upgrade requested by operator')
    const result = await upgrade(body.data)
    return 'error' in result ? refuse(c, 409, result.error) : c.json(result)
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
