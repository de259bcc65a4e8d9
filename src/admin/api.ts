/** The API under /api/v1: asks what it is handed, answers in JSON, bounds what it reads. Changes nothing. */
import { isIP, SocketAddress } from 'node:net'
import { Hono } from 'hono'
import { z } from 'zod'
import type { Secret } from '../secret.ts'
import type { BackendAnswer, RouteAnswer } from './answers.ts'
import { askForToken, refuse, refuseOtherSites } from './guard.ts'

/** What is asked of a route; what is left out is filled in by whoever answers. */
export type RouteQuestion = {
  user: string
  protocol?: 'imap' | 'pop3' | undefined
  listener?: string | undefined
  serverName?: string | undefined
  address?: string | undefined
}

export type ApiParts = {
  /** undefined: everybody on this machine may ask */
  token: Secret | undefined
  /** `wrong` says why a question has no answer */
  explain: (question: RouteQuestion) => Promise<RouteAnswer | { wrong: string }>
  backends: () => BackendAnswer[]
}

/** Longer than any user's name can be, so that the answer is that it is too long, and short enough to be echoed. */
const MAX_USER_LENGTH = 1000

const query = z.strictObject({
  protocol: z.enum(['imap', 'pop3'], { error: 'protocol: imap or pop3' }).optional(),
  listener: z.string().max(200, { error: 'listener: too long' }).optional(),
  sni: z
    .string()
    .regex(/^[\w.-]{1,253}$/, { error: 'sni: a host name' })
    .optional(),
  ip: z
    .string()
    .refine((text) => isIP(text) !== 0 && !text.includes('%'), { error: 'ip: an address' })
    .transform(inOneSpelling)
    .optional(),
})

export function buildApi({ token, explain, backends }: ApiParts): Hono {
  const api = new Hono()
  api.use(refuseOtherSites)
  api.use(askForToken(token))

  api.get('/routes/:user', async (c) => {
    const user = decodeUser(c.req.url)
    if (user === undefined) return refuse(c, 400, 'the user in the path is not percent-encoded UTF-8')
    if (user.length > MAX_USER_LENGTH) return refuse(c, 400, `the user is longer than ${MAX_USER_LENGTH} characters`)
    const asked = query.safeParse(c.req.query())
    if (!asked.success) return refuse(c, 400, asked.error.issues.map(({ message }) => message).join('; '))
    const { protocol, listener, sni: serverName, ip: address } = asked.data
    const answer = await explain({ user, protocol, listener, serverName, address })
    return 'wrong' in answer ? refuse(c, 400, answer.wrong) : c.json(answer)
  })
  api.get('/backends', (c) => c.json({ backends: backends() }))
  api.all('*', (c) => refuse(c, 404, 'the API has no such path'))
  return api
}

/** From the last part of the path, by itself: hono passes over what is wrongly encoded. */
function decodeUser(url: string): string | undefined {
  try {
    return decodeURIComponent(new URL(url).pathname.split('/').at(-1) ?? '')
  } catch {
    return undefined
  }
}

/** As sockets spell it. */
function inOneSpelling(address: string): string {
  if (isIP(address) === 4) return address
  return new SocketAddress({ address, family: 'ipv6' }).address.replace(/^::ffff:(?=[\d.]+$)/, '')
}
