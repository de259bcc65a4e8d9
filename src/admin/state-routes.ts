/** The states of back ends in the API: gives a back end a state in the directory for an operator with the token, with a line in the log. */
import { hostname } from 'node:os'
import type { HttpBindings } from '@hono/node-server'
import type { Context, Hono } from 'hono'
import { z } from 'zod'
import type { BackendState } from '../config/settings.ts'
import type { Log } from '../log.ts'
import type { Secret } from '../secret.ts'
import { backendState, type StateSetAnswer } from './answers.ts'
import { boundBody, onlyWithToken, peerOf, refuse } from './guard.ts'

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

const stateBody = z.strictObject({
  state: backendState,
  over: z.string().max(20).optional(),
  by: z
    .string()
    .regex(/^[\w.@-]{1,100}$/)
    .optional(),
  force: z.boolean().optional(),
  reassign: z.boolean().optional(),
})

export type StateBody = z.infer<typeof stateBody>

const BODY_USAGE =
  'the body must be {"state": "up", "drain", "pause" or "down"}, where drain may have "over": "10m" and "reassign": true, with "force": true to replace the drain of another operator'

type Env = { Bindings: HttpBindings }
type Parts = StateParts & { token: () => Secret | undefined }

export function addStateRoutes(api: Hono<Env>, { token, setBackendState, isConfigured }: Parts, log: Log): void {
  async function set(c: Context<Env>, backend: string, order: StateOrder | undefined): Promise<Response> {
    if (!isConfigured('backend', backend)) return refuse(c, 404, `there is no back end ${backend}`)
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
        log.info({ peer: peerOf(c), by, backend, ...told, changed }, 'back end state set by operator')
        return c.json({ backend, changed } satisfies StateSetAnswer)
      }
    }
  }

  api.put('/backends/:name/state', onlyWithToken(token), boundBody, async (c) => {
    const body = stateBody.safeParse(await c.req.json().catch(() => undefined))
    if (!body.success) return refuse(c, 400, BODY_USAGE)
    const { state, over, by = hostname(), force = false, reassign = false } = body.data
    if (over !== undefined && state !== 'drain') return refuse(c, 400, `over is of drain alone, and not of ${state}`)
    if (reassign && state !== 'drain') return refuse(c, 400, `reassign is of drain alone, and not of ${state}`)
    const order = { state, over, by, isForced: force, ...(reassign && { reassign }) }
    return set(c, c.req.param('name'), order)
  })
  api.delete('/backends/:name/state', onlyWithToken(token), async (c) => set(c, c.req.param('name'), undefined))
}

const NO_ORDER = { state: undefined, over: undefined, by: undefined, isForced: undefined }

function describeHolder(backend: string, { over, by, sinceMs }: StateResult & { result: 'held' }): string {
  const who = by === undefined ? '' : ` by ${by}`
  const when = sinceMs === undefined ? '' : ` since ${new Date(sinceMs).toISOString()}`
  return `${backend} is being drained${who} over ${over ?? 'the default time'}${when}; only an order with force replaces that drain`
}
