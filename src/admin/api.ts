/** The API under /api/v1: asks what it is handed, answers in JSON, bounds what it reads. */
import type { HttpBindings } from '@hono/node-server'
import { Hono, type Context } from 'hono'
import { z } from 'zod'
import { listProtocols, PROTOCOL_NAMES, type ProtocolName } from '../protocol/registry.ts'
import { canonicalAddress, hasZone, isAddress } from '../net/address.ts'
import type { Log } from '../log.ts'
import { Secret } from '../secret.ts'
import type { BackendAnswer, InstancesAnswer, RouteAnswer, LoginTestAnswer } from './answers.ts'
import { askForToken, boundBody, isWithinMachine, onlyWithToken, refuse } from './guard.ts'
import { addSessionRoutes, MAX_USER_LENGTH, type SessionParts } from './session-routes.ts'
import { addBlockRoutes, type BlockParts } from './block-routes.ts'
import { addDrainRoutes, type DrainParts } from './drain-routes.ts'
import { addLimitRoutes, type LimitParts } from './limit-routes.ts'
import { addMoveRoutes, type MoveRouteParts } from './move-routes.ts'
import { addUpgradeRoutes, type UpgradeParts } from './upgrade-routes.ts'
import { addReleaseRoutes, type ReleaseParts } from './release-routes.ts'
import { addReloadRoutes, type ReloadParts } from './reload-routes.ts'
import { addStateRoutes, type StateParts } from './state-routes.ts'

/** The question for a route; the answer contains the defaults of omitted fields. */
export type RouteQuestion = {
  user: string
  protocol?: ProtocolName | undefined
  listener?: string | undefined
  serverName?: string | undefined
  address?: string | undefined
}

/** No worker can answer now. The client may ask again. */
export class Unavailable extends Error {
  override readonly name = 'Unavailable'
}

/** Each of them may end so: @throws Unavailable */
export type ApiParts = SessionParts &
  StateParts &
  MoveRouteParts &
  BlockParts &
  LimitParts &
  ReloadParts &
  UpgradeParts &
  DrainParts &
  ReleaseParts & {
    /** Asked for each request, since the file may have changed. undefined: every program on this machine may ask */
    token: () => Secret | undefined
    /** `wrong` says why a question has no answer */
    explain: (question: RouteQuestion) => Promise<RouteAnswer | { wrong: string }>
    backends: () => Promise<BackendAnswer[]>
    instances: () => Promise<InstancesAnswer>
    /** logs the user in, and out again */
    testLogin: (question: RouteQuestion, password: Secret) => Promise<LoginTestAnswer | { wrong: string }>
  }

const query = z.strictObject({
  protocol: z.enum(PROTOCOL_NAMES, { error: `protocol: ${listProtocols('or')}` }).optional(),
  listener: z.string().max(200, { error: 'listener: too long' }).optional(),
  sni: z
    .string()
    .regex(/^[\w.-]{1,253}$/, { error: 'sni: a host name' })
    .optional(),
  ip: z
    .string()
    .refine((text) => isAddress(text) && !hasZone(text), { error: 'ip: an address' })
    .transform(canonicalAddress)
    .optional(),
})

/** Longer than any login takes, which sends nothing meanwhile. */
const LOGIN_IDLE_MS = 330_000

const passwordBody = z.strictObject({
  password: z
    .string()
    .min(1)
    .max(1000)
    .regex(/^[^\0\r\n]*$/),
})

type Env = { Bindings: HttpBindings }

export function buildApi(parts: ApiParts, log: Log): Hono<Env> {
  const { token, explain, backends, instances, testLogin } = parts
  const api = new Hono<Env>()
  api.use(askForToken(token))

  api.get('/routes/:user', async (c) => {
    const question = readQuestion(c)
    if ('wrong' in question) return refuse(c, 400, question.wrong)
    const answer = await explain(question)
    return 'wrong' in answer ? refuse(c, 400, answer.wrong) : c.json(answer)
  })
  api.post('/routes/:user/login', onlyWithToken(token), boundBody, async (c) => {
    if (!isWithinMachine(c.env.incoming.socket))
      return refuse(c, 403, 'a password is taken from this machine alone, as this is plain HTTP')
    c.env.incoming.socket.setTimeout(LOGIN_IDLE_MS)
    const body = passwordBody.safeParse(await c.req.json().catch(() => undefined))
    if (!body.success) return refuse(c, 400, 'the body must be {"password": "..."}, of one line')
    const question = readQuestion(c)
    if ('wrong' in question) return refuse(c, 400, question.wrong)
    const answer = await explain(question)
    if ('wrong' in answer) return refuse(c, 400, answer.wrong)
    const trial = await testLogin(question, new Secret(body.data.password))
    return 'wrong' in trial ? refuse(c, 400, trial.wrong) : c.json({ ...answer, trial })
  })
  api.get('/backends', async (c) => c.json({ backends: await backends() }))
  api.get('/instances', async (c) => c.json(await instances()))
  addStateRoutes(api, parts, log)
  addSessionRoutes(api, parts, log)
  addMoveRoutes(api, parts)
  addBlockRoutes(api, parts, log)
  addLimitRoutes(api, parts)
  addReloadRoutes(api, parts, log)
  addUpgradeRoutes(api, parts, log)
  addDrainRoutes(api, parts, log)
  addReleaseRoutes(api, parts, log)
  api.all('*', (c) => refuse(c, 404, 'the API has no such path'))
  return api
}

function readQuestion(c: Context<Env>): RouteQuestion | { wrong: string } {
  const user = decodeUser(c.req.url)
  if (user === undefined) return { wrong: 'the user in the path is not percent-encoded UTF-8' }
  if (user.length > MAX_USER_LENGTH) return { wrong: `the user is longer than ${MAX_USER_LENGTH} characters` }
  const asked = query.safeParse(c.req.query())
  if (!asked.success) return { wrong: asked.error.issues.map(({ message }) => message).join('; ') }
  const { protocol, listener, sni: serverName, ip: address } = asked.data
  return { user, protocol, listener, serverName, address }
}

/** From its part of /api/v1/routes/USER, as it came: hono passes over what is wrongly encoded. */
function decodeUser(url: string): string | undefined {
  try {
    return decodeURIComponent(new URL(url).pathname.split('/')[4] ?? '')
  } catch {
    return undefined
  }
}
