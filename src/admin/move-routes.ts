/**
 * The moves of users in the API. `mailmux move` is a process of its own: it reports to the instance of its configuration what it does, and
 * that instance lists it and counts it. A report never decides anything.
 */
import { z } from 'zod'
import { moveReported, movedUser, movesAnswer, type MovesAnswer } from './answers.ts'
import { declare, type Routes } from './declared.ts'
import { refuse } from './guard.ts'

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

const MOVED = { user: 'alice@example.test', from: 'store1', to: 'store2', step: 'copy' } as const
const RUN = '0123456789ab'
const PROGRESS = { by: 'mail1/4711', total: 10, moved: 3, failed: 0, unknown: 0, running: 1, users: [MOVED] }

const listMoves = declare({
  method: 'get',
  path: '/moves',
  right: 'read',
  summary: 'Lists the runs of `mailmux move` that are in progress',
  query: z.strictObject({ scope: z.enum(['all', 'instance'], { error: 'all or instance' }).optional() }),
  answer: movesAnswer,
  example: { answer: { moves: [{ run: RUN, ...PROGRESS, ageSeconds: 12 }], scope: 'all' } },
})

const reportMove = declare({
  method: 'put',
  path: '/moves/:run',
  right: 'operate',
  summary: 'Takes the report of a run of `mailmux move` of the same version',
  params: z.strictObject({ run: z.string().regex(/^[\da-f]{12}$/, { error: '12 hexadecimal digits in lower case' }) }),
  body: reportBody,
  answer: moveReported,
  refusals: { 409: 'too many runs report already' },
  example: { params: { run: RUN }, body: { ...PROGRESS, isOver: false }, answer: { run: RUN } },
})

export function addMoveRoutes(routes: Routes, { moves }: MoveRouteParts): void {
  routes.add(listMoves, async ({ query }): Promise<MovesAnswer> =>
    query.scope === 'instance' ? { ...(await moves.ofInstance()), scope: 'instance' } : moves.ofSite(),
  )
  routes.add(reportMove, ({ params: { run }, body, c }) =>
    moves.report(run, body) ? { run } : refuse(c, 409, 'too many moves report already'),
  )
}
