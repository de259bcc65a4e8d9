/** The last refused logins in the API, and how many there were for each reason. */
import { z } from 'zod'
import { PROTOCOL_NAMES } from '../protocol/registry.ts'
import { declare, type Routes } from './declared.ts'

/** More than each worker keeps are never there. */
const MOST = 1000
const USUAL = 50
const MAX_NAME = 1000

const refusal = z.object({
  atMs: z.number(),
  session: z.string(),
  attempted: z.string(),
  user: z.string().optional(),
  client: z.string(),
  listener: z.string(),
  protocol: z.enum(PROTOCOL_NAMES),
  mechanism: z.string(),
  backend: z.string().optional(),
  reason: z.string().optional(),
  code: z.string().optional(),
  detail: z.string(),
})

/** `incomplete`: the numbers of the workers that did not answer */
export const refusalsAnswer = z.object({
  refusals: z.array(refusal),
  counts: z.array(z.object({ reason: z.string().optional(), code: z.string().optional(), count: z.number() })),
  incomplete: z.array(z.number()).optional(),
})

export type RefusalsAnswer = z.infer<typeof refusalsAnswer>
export type RefusalQuestion = { user?: string | undefined; attempted?: string | undefined; limit: number }

export type RefusalParts = {
  /** The last refused logins of this instance, the newest first. @throws Unavailable */
  refusals: (question: RefusalQuestion) => Promise<RefusalsAnswer>
}

const [PROTOCOL] = PROTOCOL_NAMES

const listRefusals = declare({
  method: 'get',
  path: '/refusals',
  right: 'read',
  summary: 'Lists the last refused logins of the instance that answers, and counts them by reason since its start',
  query: z.strictObject({
    user: z.string().min(1).max(MAX_NAME).optional().describe('of this user, as in the log'),
    attempted: z.string().min(1).max(MAX_NAME).optional().describe('or of those who gave this name, in any case'),
    limit: z.coerce.number<string>().int().min(0).max(MOST).default(USUAL).describe('refusals in the answer'),
  }),
  answer: refusalsAnswer,
  example: {
    query: { user: 'alice@example.test', limit: '10' },
    answer: {
      refusals: [
        {
          atMs: 1_796_000_000_000,
          session: '9f2c41aa-17',
          attempted: 'alice',
          user: 'alice@example.test',
          client: '198.51.100.7',
          listener: PROTOCOL,
          protocol: PROTOCOL,
          mechanism: 'PLAIN',
          backend: 'store1',
          reason: 'authentication-failed',
          detail: 'the back end has refused: NO [AUTHENTICATIONFAILED] Authentication failed.',
        },
      ],
      counts: [{ reason: 'authentication-failed', count: 31 }],
    },
  },
})

export function addRefusalRoutes(routes: Routes, { refusals }: RefusalParts): void {
  routes.add(listRefusals, ({ query }) => refusals(query))
}
