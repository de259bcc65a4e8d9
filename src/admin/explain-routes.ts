/** The route of a user in the API: every decision on the way to a back end, and a login that tries it. */
import { z } from 'zod'
import { canonicalAddress, hasZone, isAddress } from '../net/address.ts'
import { listProtocols, PROTOCOL_NAMES, type ProtocolName } from '../protocol/registry.ts'
import { Secret } from '../secret.ts'
import { auditOf, isOnMachine } from './access.ts'
import type { AuditLog } from './audit.ts'
import { loginAnswer, routeAnswer, type LoginTestAnswer, type RouteAnswer } from './answers.ts'
import { declare, type Routes } from './declared.ts'
import { refuse } from './guard.ts'
import { MAX_USER_LENGTH } from './session-routes.ts'

/** The question for a route; the answer contains the defaults of omitted fields. */
export type RouteQuestion = {
  user: string
  protocol?: ProtocolName | undefined
  listener?: string | undefined
  serverName?: string | undefined
  address?: string | undefined
}

export type ExplainParts = {
  /** `wrong` says why a question has no answer */
  explain: (question: RouteQuestion) => Promise<RouteAnswer | { wrong: string }>
  /** logs the user in, and out again */
  testLogin: (question: RouteQuestion, password: Secret) => Promise<LoginTestAnswer | { wrong: string }>
}

const params = z.strictObject({
  user: z
    .string()
    .max(MAX_USER_LENGTH, { error: `is longer than ${MAX_USER_LENGTH} characters` })
    .describe('the name as typed into a mail client'),
})

const query = z.strictObject({
  protocol: z.enum(PROTOCOL_NAMES, { error: listProtocols('or') }).optional(),
  listener: z.string().max(200, { error: 'too long' }).optional(),
  sni: z
    .string()
    .regex(/^[\w.-]{1,253}$/, { error: 'a host name' })
    .optional()
    .describe('the server name that the client sends in TLS'),
  ip: z
    .string()
    .refine((text) => isAddress(text) && !hasZone(text), { error: 'an address' })
    .transform(canonicalAddress)
    .optional()
    .describe('the address of mailmux to which the client connects'),
})

type Query = z.output<typeof query>

const passwordBody = z.strictObject({
  password: z
    .string()
    .min(1)
    .max(1000)
    .regex(/^[^\0\r\n]*$/, { error: 'has more than one line' }),
})

/** Longer than any login takes, which sends nothing meanwhile. */
const LOGIN_IDLE_MS = 330_000

const [PROTOCOL] = PROTOCOL_NAMES

const ROUTE = {
  usable: true,
  login: { user: 'alice@example.test', protocol: PROTOCOL, listener: 'mail', tls: 'starttls' },
  steps: [{ asked: 'users', key: 'alice@example.test', outcome: 'found', detail: 'store1' }],
  route: { source: 'static', backend: 'store1' },
} as const
const NO_ANSWER = { 400: 'the configuration has no such listener, or none of that protocol' }

const explainRoute = declare({
  method: 'get',
  path: '/routes/:user',
  right: 'read',
  summary: 'Explains to which back end a login of this user would go, and changes nothing',
  params,
  query,
  answer: routeAnswer,
  refusals: NO_ANSWER,
  example: { params: { user: 'alice@example.test' }, query: { protocol: PROTOCOL }, answer: ROUTE },
})

const tryLogin = declare({
  method: 'post',
  path: '/routes/:user/login',
  right: 'operate',
  summary: 'Logs the user in, and ends the session at once',
  params,
  query,
  body: passwordBody,
  answer: loginAnswer,
  refusals: { ...NO_ANSWER, 403: 'a password comes from another machine' },
  example: {
    params: { user: 'alice@example.test' },
    body: { password: 'secret' },
    answer: { ...ROUTE, trial: { accepted: true, session: 'k3v9p2', phase: 'replaying-login', ms: 12 } },
  },
})

export function addExplainRoutes(routes: Routes, { explain, testLogin }: ExplainParts, log: AuditLog): void {
  routes.add(explainRoute, async ({ params: { user }, query, c }) => {
    const answer = await explain(questionOf(user, query))
    return 'wrong' in answer ? refuse(c, 400, answer.wrong) : answer
  })
  routes.add(tryLogin, async ({ params: { user }, query, body, caller, c }) => {
    if (!isOnMachine(c)) return refuse(c, 403, 'a password is taken from this machine alone, as this is plain HTTP')
    c.env.incoming.socket.setTimeout(LOGIN_IDLE_MS)
    const question = questionOf(user, query)
    const answer = await explain(question)
    if ('wrong' in answer) return refuse(c, 400, answer.wrong)
    const trial = await testLogin(question, new Secret(body.password))
    if ('wrong' in trial) return refuse(c, 400, trial.wrong)
    const { accepted, session } = trial
    log.info({ ...auditOf(caller), user, accepted, session }, 'login tried by operator')
    return { ...answer, trial }
  })
}

function questionOf(user: string, { protocol, listener, sni: serverName, ip: address }: Query): RouteQuestion {
  return { user, protocol, listener, serverName, address }
}
