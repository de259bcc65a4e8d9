/** One request to a running mailmux, over its Unix socket or over HTTP, and what prevents an answer, in words for the operator. */
import { once } from 'node:events'
import { request, type ClientRequest, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { systemCode } from '../errors.ts'
import { hostPort } from '../net/address.ts'
import type { Secret } from '../secret.ts'
import { isWithinMachine } from './guard.ts'

/** A hundred times what there is to say. */
const MAX_ANSWER_LENGTH = 1_000_000

/** Where a mailmux answers operators: a port, or the path of its Unix socket, whose permissions decide. */
export type AdminEndpoint = { host: string; port: number; token: Secret | undefined } | { file: string }

/** For a message. */
export function placeName(endpoint: AdminEndpoint): string {
  return 'file' in endpoint ? endpoint.file : hostPort(endpoint.host, endpoint.port)
}

/** For a request of node:http. */
export function addressOf(endpoint: AdminEndpoint): { socketPath: string } | { host: string; port: number } {
  return 'file' in endpoint ? { socketPath: endpoint.file } : { host: endpoint.host, port: endpoint.port }
}

type UnansweredFacts = {
  isRefused?: boolean
  isGone?: boolean
  isAbsent?: boolean
  isTemporary?: boolean
  errors?: string[]
}

/** There is no answer, and the message says why, for the operator. */
export class Unanswered extends Error {
  override readonly name = 'Unanswered'
  /** an order that makes sense is refused as things are */
  readonly isRefused: boolean
  /** of an order that is refused for several reasons */
  readonly errors: string[] | undefined
  /** nothing listens there, or it has ended before its answer */
  readonly isGone: boolean
  /** nothing listens there */
  readonly isAbsent: boolean
  /** the same question may be answered later */
  readonly isTemporary: boolean

  constructor(message: string, facts: UnansweredFacts = {}) {
    super(message)
    const { isRefused = false, isGone = false, isAbsent = false, isTemporary = isGone, errors } = facts
    this.isRefused = isRefused
    this.isGone = isGone
    this.isAbsent = isAbsent
    this.isTemporary = isTemporary
    this.errors = errors
  }
}

type Answer = { status: number; text: string }

export type Request = {
  method?: 'POST' | 'PUT' | 'DELETE'
  path: string
  /** without a secret */
  body?: object
  password?: Secret
  withinMs: number
  mostLength?: number
  /** ends the wait early */
  signal?: AbortSignal | undefined
}

/** @throws Unanswered */
export async function fetchAnswer(endpoint: AdminEndpoint, request: Request): Promise<Answer> {
  const at = placeName(endpoint)
  try {
    return await fetchText(endpoint, request)
  } catch (error) {
    if (error instanceof Unanswered) throw error
    const cause = systemCode(error)
    if (cause === 'ECONNREFUSED' || cause === 'ENOENT')
      throw new Unanswered(`no program listens on ${at}: is mailmux running?`, { isGone: true, isAbsent: true })
    if (cause === 'ABORT_ERR') throw new Unanswered(`${at} does not answer`, { isTemporary: true })
    throw new Unanswered(`${at} does not answer: ${cause}`, { isGone: cause === 'ECONNRESET' })
  }
}

/** Over `node:http`: `fetch` may go through a proxy of the environment, and refuses some ports for what browsers could do there. */
async function fetchText(endpoint: AdminEndpoint, asked: Request): Promise<Answer> {
  const { path, body, password, withinMs, mostLength = MAX_ANSWER_LENGTH, signal } = asked
  const token = 'file' in endpoint ? undefined : endpoint.token
  const headers = {
    ...(token && { authorization: `Bearer ${token.reveal()}` }),
    ...((password ?? body) && { 'content-type': 'application/json' }),
  }
  const method = asked.method ?? (password ? 'POST' : 'GET')
  const question = request({
    ...addressOf(endpoint),
    path,
    method,
    headers,
    agent: false,
    signal: AbortSignal.any([AbortSignal.timeout(withinMs), ...(signal ? [signal] : [])]),
  })
  question.on('error', () => undefined) // the current wait reports it, if there is one
  if (password) await sendPassword(question, password, 'file' in endpoint)
  else question.end(body && JSON.stringify(body))
  const [response] = (await once(question, 'response')) as [IncomingMessage]
  let text = ''
  for await (const piece of response.setEncoding('utf8')) {
    text += String(piece)
    if (text.length > mostLength) throw new Error('its answer has no end')
  }
  return { status: response.statusCode ?? 0, text }
}

/** Only once it is known where it goes: this is plain HTTP. @throws Unanswered */
async function sendPassword(question: ClientRequest, password: Secret, isOverSocket: boolean): Promise<void> {
  const [socket] = (await once(question, 'socket')) as [Socket]
  if (socket.connecting) await once(socket, 'connect')
  if (isOverSocket || isWithinMachine(socket)) return void question.end(JSON.stringify({ password: password.reveal() }))
  question.destroy()
  throw new Unanswered('mailmux is on another machine: run --login there, as the API is plain HTTP')
}
