/** An admin port that answers as scripted, a configuration that names it, and a terminal that keeps what is printed. */
import { once } from 'node:events'
import fs from 'node:fs'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import type { TestContext } from 'node:test'
import { temporaryDirectory } from '../config/fixture.ts'

export const TOKEN = 'open-sesame'

/**
 * @param answer the same to each request, or a function of the number of the request, from 1; `reset`: the connection ends
 * @param hangsAt the number of the first request without an answer, from 1
 */
export async function openAdminPort(t: TestContext, status: number, answer: unknown, hangsAt = Infinity) {
  const { promise: hangs, resolve: noteHang } = Promise.withResolvers<true>()
  const asked: string[] = []
  const bodies: string[] = []
  const tokens = new Set<string | undefined>()
  const server = http.createServer((request, response) => {
    asked.push(`${request.method ?? ''} ${request.url ?? ''}`)
    tokens.add(request.headers.authorization)
    void text(request).then((body) => {
      bodies.push(body)
      if (asked.length >= hangsAt) return noteHang(true)
      const told: unknown = typeof answer === 'function' ? (answer as (nth: number) => unknown)(asked.length) : answer
      if (told === 'reset') return void request.socket.destroy()
      response.writeHead(status).end(JSON.stringify(told))
    })
  })
  server.listen({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  const directory = temporaryDirectory(t)
  const config = path.join(directory, 'mailmux.yaml')
  const { port } = server.address() as AddressInfo
  fs.writeFileSync(path.join(directory, 'token'), `${TOKEN}\n`)
  fs.writeFileSync(
    config,
    `listeners: [{name: a, protocol: imap, tls: none}]\nadmin: {listen: '127.0.0.1:${port}', token_file: token}\n`,
  )
  const [out, errors]: [string[], string[]] = [[], []]
  const terminal = {
    env: {},
    out: (line: string) => void out.push(line),
    printError: (line: string) => void errors.push(line),
  }
  return { config, terminal, asked, bodies, tokens, out, errors, hangs }
}
