/** Asks the API of a running mailmux. What it answers is held against the schemas, since something else may listen there. */
import { once } from 'node:events'
import { request, type IncomingMessage } from 'node:http'
import type { z } from 'zod'
import { systemCode } from '../errors.ts'
import type { Secret } from '../secret.ts'
import { errorAnswer, routeAnswer, type RouteAnswer } from './answers.ts'
import type { RouteQuestion } from './api.ts'

/** Longer than any lookup: `directory.redis.timeout` is seconds at most. */
const LOOKUP_MS = 15_000
/** A hundred times what there is to say. */
const MAX_ANSWER_LENGTH = 1_000_000

export type AdminClient = {
  /** @throws Unanswered */
  explain(question: RouteQuestion): Promise<RouteAnswer>
}

/** There is no answer, and the message says why, for the operator. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered'
}

type Answer = { status: number; text: string }

type Place = { host: string; port: number; token: Secret | undefined }

export function createAdminClient(place: Place): AdminClient {
  return {
    explain: ({ user, protocol, listener, serverName, address }) => {
      const query = new URLSearchParams()
      const given = { protocol, listener, sni: serverName, ip: address }
      for (const [name, value] of Object.entries(given)) if (value !== undefined) query.set(name, value)
      return ask(place, `/api/v1/routes/${encodeURIComponent(user)}?${query.toString()}`, routeAnswer)
    },
  }
}

async function ask<S extends z.ZodType>(place: Place, path: string, schema: S): Promise<z.output<S>> {
  const at = place.host.includes(':') ? `[${place.host}]:${place.port}` : `${place.host}:${place.port}`
  let answer: Answer
  try {
    answer = await fetchText(place, path, LOOKUP_MS)
  } catch (error) {
    const cause = systemCode(error)
    if (cause === 'ECONNREFUSED') throw new Unanswered(`nobody listens on ${at}: is mailmux running?`)
    if (cause === 'ABORT_ERR') throw new Unanswered(`${at} does not answer`)
    throw new Unanswered(`${at} does not answer: ${cause}`)
  }
  const json = parseJson(answer.text)
  const told = answer.status === 200 ? schema.safeParse(json) : undefined
  if (told?.success) return told.data
  const refused = errorAnswer.safeParse(json)
  if (refused.success) throw new Unanswered(`mailmux refuses to answer: ${refused.data.error}`)
  throw new Unanswered(`${at} answers as no mailmux of this version does (HTTP ${answer.status})`)
}

/** Over `node:http`: `fetch` may go through a proxy of the environment, and refuses some ports for what browsers could do there. */
async function fetchText({ host, port, token }: Place, path: string, withinMs: number): Promise<Answer> {
  const headers = { ...(token && { authorization: `Bearer ${token.reveal()}` }) }
  const question = request({ host, port, path, headers, agent: false, signal: AbortSignal.timeout(withinMs) })
  question.on('error', () => undefined) // told by the wait under way, or nobody waits any more
  question.end()
  const [response] = (await once(question, 'response')) as [IncomingMessage]
  let text = ''
  for await (const piece of response.setEncoding('utf8')) {
    text += String(piece)
    if (text.length > MAX_ANSWER_LENGTH) throw new Error('its answer has no end')
  }
  return { status: response.statusCode ?? 0, text }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
