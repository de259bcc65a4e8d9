/** How questions to an auth server share its attention: how many at once, what becomes of the others, and the cost of TLS. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { createAuthHttpSender } from '../../../../src/directory/auth-http/sender.ts'
import { makeAuthority } from '../../../support/certificates.ts'

const MAX_CONNECTIONS = 100

async function listen(t: TestContext, server: http.Server | https.Server): Promise<number> {
  server.listen({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  t.after(() => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

/** A server that answers when it is told to. */
async function openSlowServer(t: TestContext) {
  const held: http.ServerResponse[] = []
  const server = http.createServer((_request, response) => {
    held.push(response)
    server.emit('held')
  })
  const port = await listen(t, server)
  const sender = createAuthHttpSender({ url: new URL(`http://127.0.0.1:${port}/`), ca: undefined })
  t.after(() => sender.close())
  return {
    sender,
    held,
    untilHeld: async (count: number): Promise<void> => {
      while (held.length < count) await once(server, 'held')
    },
  }
}

test('asks so many questions at once and the next one after an answer', async (t) => {
  const { sender, held, untilHeld } = await openSlowServer(t)
  const { signal } = new AbortController()
  const replies = Array.from({ length: MAX_CONNECTIONS + 2 }, () => sender.ask({}, signal))
  await untilHeld(MAX_CONNECTIONS)
  for (let answered = 0; answered < replies.length; answered++) {
    await untilHeld(Math.min(replies.length, MAX_CONNECTIONS + answered))
    assert.equal(held.length, Math.min(replies.length, MAX_CONNECTIONS + answered))
    held[answered]?.writeHead(204).end()
    assert.equal((await replies[answered])?.status, 204)
  }
})

test('drops a question whose time ends while it waits, and asks the one behind it', async (t) => {
  const { sender, held, untilHeld } = await openSlowServer(t)
  const { signal } = new AbortController()
  const first = Array.from({ length: MAX_CONNECTIONS }, () => sender.ask({}, signal))
  const late = new AbortController()
  const dropped = sender.ask({}, late.signal)
  const behind = sender.ask({}, signal)
  await untilHeld(MAX_CONNECTIONS)
  late.abort(new Error('late'))
  await assert.rejects(dropped, {
    code: 'directory-unavailable',
    message: '100 questions to the auth server were open all the time',
  })
  held[0]?.writeHead(204).end()
  await untilHeld(MAX_CONNECTIONS + 1)
  for (const response of held.slice(1)) response.writeHead(204).end()
  await Promise.all([...first, behind])
  assert.equal(held.length, MAX_CONNECTIONS + 1)
})

test('gives the place of a failed question to the next one', async (t) => {
  const { sender, held, untilHeld } = await openSlowServer(t)
  const { signal } = new AbortController()
  const failing = Array.from({ length: MAX_CONNECTIONS }, () => sender.ask({}, signal))
  await untilHeld(MAX_CONNECTIONS)
  const next = sender.ask({}, signal)
  for (const response of held) response.destroy()
  for (const { status } of await Promise.allSettled(failing)) assert.equal(status, 'rejected')
  await untilHeld(MAX_CONNECTIONS + 1)
  held.at(-1)?.writeHead(204).end()
  assert.equal((await next).status, 204)
})

test('resumes the TLS session on the next connection', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'mailmux-auth-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const authority = await makeAuthority(directory)
  const resumed: boolean[] = []
  const server = https.createServer(await authority.issue('auth'), (_request, response) =>
    response.writeHead(204).end(),
  )
  server.on('secureConnection', (socket) => resumed.push(socket.isSessionReused()))
  const port = await listen(t, server)
  const url = new URL(`https://localhost:${port}/`)
  const sender = createAuthHttpSender({ url, ca: readFileSync(authority.caFile, 'utf8') })
  t.after(() => sender.close())
  for (let i = 0; i < 2; i++) await sender.ask({}, new AbortController().signal)
  assert.deepEqual(resumed, [false, true])
})
