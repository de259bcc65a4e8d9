/** A faulty auth server that sends more answers than it was asked questions: none of them may decide another user's login. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import net, { type AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { test, type TestContext } from 'node:test'
import type { Log } from '../../../../src/log.ts'
import { openAuthHttpDirectory } from '../../../../src/directory/auth-http/auth-http-directory.ts'
import { backends, facts, settings } from './fixture.ts'

/** The answer for one user: its own back end, login name and password. */
const answerFor = (user: string): string =>
  'HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 10.0.0.2\r\nAuth-Port: 143\r\n' +
  `Auth-User: ${user}\r\nAuth-Pass: password-of-${user}\r\nContent-Length: 0\r\n\r\n`

type Faulty = {
  /** @param turn the number of the question on this connection, from 1 @param last the answer to the question before it */
  answer: (send: (bytes: string) => Promise<void>, turn: number, user: string, last: string) => Promise<void>
}

/** @returns asks as a user: the login name that the answer gives */
async function open(t: TestContext, { answer }: Faulty): Promise<(user: string) => Promise<string | undefined>> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    let turn = 0
    let last = ''
    sockets.add(socket)
    socket.on('error', () => undefined)
    const send = (bytes: string): Promise<void> =>
      new Promise((resolve) => (socket.writable ? void socket.write(bytes, () => resolve()) : resolve()))
    socket.on('data', (chunk) => {
      const user = /^auth-user: (\S+)/im.exec(chunk.toString('latin1'))?.[1] ?? ''
      turn++
      const previous = last
      last = answerFor(user)
      void answer(send, turn, user, previous)
    })
  })
  server.listen({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  const log = { info: () => undefined, error: () => undefined } as unknown as Log
  const directory = openAuthHttpDirectory(settings({ url }), log, () => undefined)
  t.after(async () => {
    await directory.close()
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return async (user) => {
    const found = await directory.lookup(user, undefined, { facts: () => facts(), backends: backends() })
    return found.entry?.login
  }
}

const TIMINGS: Record<string, Faulty> = {
  'in the packet of the answer': {
    answer: (send, _turn, user) => send(answerFor(user) + answerFor(user)),
  },
  'in a packet of its own, directly after the answer': {
    async answer(send, _turn, user) {
      await send(answerFor(user))
      await send(answerFor(user))
    },
  },
  'while nothing is asked': {
    async answer(send, _turn, user) {
      await send(answerFor(user))
      await nextTurn()
      await nextTurn()
      await send(answerFor(user))
    },
  },
  'half in the packet of the answer, half with the next': {
    answer: (send, turn, user, last) =>
      send(turn === 1 ? answerFor(user) + answerFor(user).slice(0, 40) : last.slice(40) + answerFor(user)),
  },
  'after the next question and before its answer': {
    answer: (send, turn, user, last) => send(turn === 1 ? answerFor(user) : last + answerFor(user)),
  },
  'after the next question, whose own answer is late': {
    async answer(send, turn, user, last) {
      if (turn > 1) {
        await send(last)
        await nextTurn()
      }
      await send(answerFor(user))
    },
  },
}

for (const [when, faulty] of Object.entries(TIMINGS))
  test(`uses no surplus answer for the next question: it arrives ${when}`, async (t) => {
    const ask = await open(t, faulty)
    assert.equal(await ask('alice@example.test'), 'alice@example.test')
    for (let i = 0; i < 4; i++) await nextTurn()
    assert.equal(await ask('bob@example.test'), 'bob@example.test')
  })
