/**
 * The moves of users in the API. `mailmux move` is a process of its own: it reports to the instance of its configuration what it does, and
 * that instance lists it and counts it. A report never decides anything.
 */
import type { HttpBindings } from '@hono/node-server'
import type { Hono } from 'hono'
import { z } from 'zod'
import type { Secret } from '../secret.ts'
import { movedUser, type MovesAnswer } from './answers.ts'
import { boundBody, onlyWithToken, refuse } from './guard.ts'

/** Each user of a report has a few hundred octets, and a body has 8 KiB at most. */
export const MOST_REPORTED_USERS = 20

const count = z.number().int().nonnegative().max(1e9)

const reportBody = z.strictObject({
  /** host and process */
  by: z.string().regex(/^[\w.@/-]{1,200}$/),
  /** users of the whole run */
  total: count,
  /** since the begin of the run, so that a report which is lost loses nothing */
  moved: count,
  failed: count,
  unknown: count,
  running: count,
  /** some of those that are being moved */
  users: z.array(movedUser).max(MOST_REPORTED_USERS),
  /** the last report of the run */
  isOver: z.boolean(),
})

export type MoveReport = z.output<typeof reportBody>

/** Each of them may end so: @throws Unavailable */
export type MoveRouteParts = {
  moves: {
    /** @returns whether it was taken; false if too many runs report */
    report: (run: string, report: MoveReport) => boolean
    /** reported to this instance */
    ofInstance: () => Promise<MovesAnswer>
    /** reported to any instance */
    ofSite: () => Promise<MovesAnswer>
  }
}

const listQuery = z.strictObject({ scope: z.enum(['all', 'instance']).optional() })

const RUN = /^[\da-f]{12}$/

type Env = { Bindings: HttpBindings }
type Parts = MoveRouteParts & { token: () => Secret | undefined }

export function addMoveRoutes(api: Hono<Env>, { token, moves }: Parts): void {
  api.get('/moves', async (c) => {
    const asked = listQuery.safeParse(c.req.query())
    if (!asked.success) return refuse(c, 400, 'scope, all or instance, is what can be asked of moves')
    if (asked.data.scope !== 'instance') return c.json(await moves.ofSite())
    return c.json({ ...(await moves.ofInstance()), scope: 'instance' } satisfies MovesAnswer)
  })
  api.put('/moves/:run', onlyWithToken(token), boundBody, async (c) => {
    const run = c.req.param('run')
    const body = reportBody.safeParse(await c.req.json().catch(() => undefined))
    if (!RUN.test(run) || !body.success)
      return refuse(c, 400, 'this is not the report of a `mailmux move` of this version')
    if (!moves.report(run, body.data)) return refuse(c, 409, 'too many moves report already')
    return c.json({ run })
  })
}
