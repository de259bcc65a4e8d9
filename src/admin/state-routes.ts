/** The states of back ends in the API: gives a back end a state in the directory for an operator with the token, with a line in the log. */
import { hostname } from 'node:os'
import { z } from 'zod'
import type { BackendState } from '../config/settings.ts'
import { auditOf } from './access.ts'
import type { AuditLog } from './audit.ts'
import { backendState, stateSetAnswer, type StateSetAnswer } from './answers.ts'
import type { BackendParts } from './backend-routes.ts'
import { declare, type Asked, type Routes } from './declared.ts'
import { refuse } from './guard.ts'

export type StateOrder = {
  state: BackendState
  over: string | undefined
  by: string
  isForced: boolean
  /** of a drain alone: its users get another back end by placement */
  reassign?: true
}

/** `no-place`: the directory of the configuration has no states */
export type StateResult =
  | { result: 'changed' | 'unchanged' }
  | { result: 'held'; over: string | undefined; by: string | undefined; sinceMs: number | undefined }
  | { result: 'wrong' | 'no-place' | 'unavailable'; why: string }

export type StateParts = {
  /** @param change without an order the state is removed, so that the routing file counts again. @throws Unavailable */
  setBackendState: (change: { backend: string; order: StateOrder | undefined }) => Promise<StateResult>
  isConfigured: (kind: 'backend' | 'listener', name: string) => boolean
}

const ofDrain = (what: string) => ({ error: `goes with the state drain alone`, path: [what] })

const stateBody = z
  .strictObject({
    state: backendState,
    over: z
      .string()
      .max(20)
      .optional()
      .describe('with drain: the time over which its sessions end, such as 10m; default: as in the routing file'),
    by: z
      .string()
      .regex(/^[\w.@-]{1,100}$/, { error: 'up to 100 letters, digits and . _ @ -' })
      .optional()
      .describe('the operator; default: the host name of mailmux'),
    force: z.boolean().optional().describe('true: replaces the drain of another operator'),
    reassign: z.boolean().optional().describe('with drain: true gives each of its users another back end by placement'),
  })
  .refine(({ over, state }) => over === undefined || state === 'drain', ofDrain('over'))
  .refine(({ reassign, state }) => reassign !== true || state === 'drain', ofDrain('reassign'))

export type StateBody = z.infer<typeof stateBody>

const params = z.strictObject({ name: z.string() })
const REFUSED = {
  404: 'the routing file has no such back end',
  409: 'another operator drains the back end, or the directory is not Redis, or no other back end takes its users',
  503: 'Redis gives no answer, or has lost its data',
}

const setState = declare({
  method: 'put',
  path: '/backends/:name/state',
  right: 'operate',
  summary: 'Gives a back end a state in the directory, for all instances',
  params,
  body: stateBody,
  answer: stateSetAnswer,
  refusals: { ...REFUSED, 400: 'the directory takes no such order' },
  example: {
    params: { name: 'store1' },
    body: { state: 'drain', over: '10m', by: 'root@mx1' },
    answer: { backend: 'store1', changed: true },
  },
})

const removeState = declare({
  method: 'delete',
  path: '/backends/:name/state',
  right: 'operate',
  summary: 'Removes the state of a back end from the directory, so that the routing file counts again',
  params,
  answer: stateSetAnswer,
  refusals: REFUSED,
  example: { params: { name: 'store1' }, answer: { backend: 'store1', changed: true } },
})

export function addStateRoutes(
  routes: Routes,
  { setBackendState, isConfigured, backends }: StateParts & Pick<BackendParts, 'backends'>,
  log: AuditLog,
): void {
  /** For the log alone: an order does not fail because no worker tells the state. */
  async function stateOf(backend: string): Promise<string | undefined> {
    const all = await backends().catch(() => [])
    return all.find(({ name }) => name === backend)?.state
  }

  async function set(
    {
      c,
      caller,
      params: { name: backend },
    }: Pick<Asked<{ name: string }, unknown, unknown>, 'c' | 'caller' | 'params'>,
    order: StateOrder | undefined,
  ): Promise<StateSetAnswer | Response> {
    if (!isConfigured('backend', backend)) return refuse(c, 404, `there is no back end ${backend}`)
    const before = await stateOf(backend)
    const answer = await setBackendState({ backend, order })
    switch (answer.result) {
      case 'wrong':
        return refuse(c, 400, answer.why)
      case 'no-place':
        return refuse(c, 409, answer.why)
      case 'held':
        return refuse(c, 409, describeHolder(backend, answer))
      case 'unavailable':
        return refuse(c, 503, answer.why)
      case 'changed':
      case 'unchanged': {
        const changed = answer.result === 'changed'
        const { state = 'as in the routing file', over, by, isForced } = order ?? NO_ORDER
        const told = { state, over, isForced, ...(order?.reassign && { reassign: true }) }
        log.info({ ...auditOf(caller), by, backend, before, ...told, changed }, 'back end state set by operator')
        return { backend, changed }
      }
    }
  }

  routes.add(setState, (asked) => {
    const { state, over, by = hostname(), force = false, reassign = false } = asked.body
    return set(asked, { state, over, by, isForced: force, ...(reassign && { reassign }) })
  })
  routes.add(removeState, (asked) => set(asked, undefined))
}

const NO_ORDER = { state: undefined, over: undefined, by: undefined, isForced: undefined }

function describeHolder(backend: string, { over, by, sinceMs }: StateResult & { result: 'held' }): string {
  const who = by === undefined ? '' : ` by ${by}`
  const when = sinceMs === undefined ? '' : ` since ${new Date(sinceMs).toISOString()}`
  return `${backend} is being drained${who} over ${over ?? 'the default time'}${when}; only an order with force replaces that drain`
}
