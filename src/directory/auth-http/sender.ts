/**
 * Sends the questions to an auth server: one connection for each, closed after its answer.
 * HTTP/1.1 does not tie an answer to its question (RFC 9112 9.2): on a kept connection a surplus answer of a faulty server would
 * become the answer to the next question, which is about another user. nginx uses one connection for each question too.
 */
import { once } from 'node:events'
import http from 'node:http'
import https from 'node:https'
import { connect as connectTcp } from 'node:net'
import { connect as connectTls } from 'node:tls'
import type { AuthHttpSettings } from '../../config/settings.ts'
import { QuestionFailed } from './answer.ts'
import { createJoinedLookup } from '../joined-lookup.ts'
import { isAddress } from '../../net/address.ts'

/** The answer is a handful of headers. A head that is larger is refused. */
const MAX_HEADER_BYTES = 16 * 1024
/** A usual server works on fewer questions at once. Further logins wait for their turn, each within its own deadline. */
const MAX_CONNECTIONS = 100

export type Reply = { status: number; rawHeaders: string[] }

export type AuthHttpSender = {
  /** @throws QuestionFailed where `signal` ends the wait for a turn, else the error of the connection or of `signal` */
  ask(headers: Record<string, string>, signal: AbortSignal): Promise<Reply>
  /** Connects, over TLS where the URL says https, and asks nothing. @throws Error of the connection or of `signal` */
  connect(signal: AbortSignal): Promise<void>
  close(): void
}

/** Follows no redirect and no proxy of the environment. */
export function createAuthHttpSender({ url, ca }: Pick<AuthHttpSettings, 'url' | 'ca'>): AuthHttpSender {
  const secure = url.protocol === 'https:'
  // The agent keeps no connection. Over TLS it keeps the session, so that the next handshake is a short one.
  // It has no limit of its own: an agent that has one passes a used connection on to the requests that wait for it.
  const agent = secure ? new https.Agent({ keepAlive: false, ca }) : new http.Agent({ keepAlive: false })
  const turns = createTurns(MAX_CONNECTIONS)
  const lookup = createJoinedLookup()

  async function askOnce(headers: Record<string, string>, signal: AbortSignal): Promise<Reply> {
    const { promise, resolve, reject } = Promise.withResolvers<Reply>()
    const options = { agent, headers, signal, maxHeaderSize: MAX_HEADER_BYTES, lookup }
    const request = (secure ? https : http).get(url, options, (response) => {
      resolve({ status: response.statusCode ?? 0, rawHeaders: response.rawHeaders })
      response.on('error', () => undefined) // the answer is complete without its body
      request.destroy()
    })
    request.on('error', reject)
    request.on('close', () => reject(new Error('closed without an answer')))
    return promise
  }

  return {
    async ask(headers, signal) {
      await turns.take(signal)
      try {
        return await askOnce(headers, signal)
      } finally {
        turns.giveBack()
      }
    },
    async connect(signal) {
      const host = url.hostname.replace(/^\[|\]$/gu, '') // the brackets of an IPv6 address
      const port = Number(url.port) || (secure ? 443 : 80)
      const names = isAddress(host) ? {} : { servername: host } // RFC 6066 3: no address in SNI
      const socket = secure
        ? connectTls({ host, port, lookup, ...names, ...(ca !== undefined && { ca }) })
        : connectTcp({ host, port, lookup })
      try {
        await once(socket, secure ? 'secureConnect' : 'connect', { signal })
      } finally {
        socket.on('error', () => undefined) // how it ends has no effect
        socket.destroy()
      }
    },
    close: () => agent.destroy(),
  }
}

/** The queue is in mailmux: a question that was never sent is no failure of the server. */
function noTurn({ reason }: AbortSignal): QuestionFailed {
  return new QuestionFailed(`${MAX_CONNECTIONS} questions to the auth server were open all the time`, reason)
}

/** At most `most` at once; the others wait in order. */
function createTurns(most: number) {
  let free = most
  const waiting = new Set<() => void>()

  return {
    /** @throws QuestionFailed once `signal` is aborted */
    async take(signal: AbortSignal): Promise<void> {
      if (signal.aborted) throw noTurn(signal)
      if (free > 0) {
        free--
        return
      }
      const { promise, resolve, reject } = Promise.withResolvers<undefined>()
      const start = (): void => {
        signal.removeEventListener('abort', give)
        resolve(undefined)
      }
      const give = (): void => {
        waiting.delete(start)
        reject(noTurn(signal))
      }
      waiting.add(start)
      signal.addEventListener('abort', give, { once: true })
      await promise
    },
    giveBack(): void {
      const [next] = waiting
      if (next === undefined) {
        free++
        return
      }
      waiting.delete(next)
      next()
    },
  }
}
