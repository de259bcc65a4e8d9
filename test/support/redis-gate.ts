/** Between one client and a Redis: answers chosen commands with an error, before Redis gets them or after it has carried them out. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { Scene } from './scene.ts'

/** `lost-before`: Redis never gets it. `lost-after`: Redis carries it out, and the answer is lost. */
export type GateFault = 'lost-before' | 'lost-after' | undefined

export type RedisGate = {
  port: number
  /** decides on each command by its words */
  judge: (words: readonly string[]) => GateFault
}

/** A client that loses the connection connects again and has no reason to slow down. An error is an answer at once. */
const ERROR = '-TRYAGAIN no answer\r\n'

/** Passes everything to the Redis at `port` until `judge` is set. A connection with subscriptions is passed through as it is. */
export async function startRedisGate(scene: Scene, port: number): Promise<RedisGate> {
  const sockets = new Set<Socket>()
  const server = createServer((client) => {
    const upstream = connect({ host: '127.0.0.1', port })
    join(client, upstream, (words) => gate.judge(words))
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket)
      socket.setNoDelay(true)
      socket.on('error', () => undefined)
      socket.on('close', () => {
        sockets.delete(socket)
        other.destroy()
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  scene.closeLater(async () => {
    server.close()
    for (const socket of sockets) socket.destroy()
    await once(server, 'close')
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the gate has no port')
  const gate: RedisGate = { port: address.port, judge: () => undefined }
  return gate
}

function join(client: Socket, upstream: Socket, judge: RedisGate['judge']): void {
  /** Answers are in the order of the commands: what becomes of each. */
  const pending: GateFault[] = []
  let isSubscriber = false

  function answerLost(): void {
    while (pending[0] === 'lost-before') {
      pending.shift()
      client.write(ERROR)
    }
  }

  onValues(client, (octets) => {
    const words = wordsOf(octets)
    isSubscriber ||= /^[ps]?subscribe$/iu.test(words[0] ?? '')
    const fault = isSubscriber ? undefined : judge(words)
    if (!isSubscriber) pending.push(fault)
    if (fault !== 'lost-before') upstream.write(octets)
    answerLost()
  })
  onValues(upstream, (octets) => {
    client.write(isSubscriber || pending.shift() === undefined ? octets : ERROR)
    answerLost()
  })
}

/** Calls `take` with each whole value of RESP (https://redis.io/docs/latest/develop/reference/protocol-spec/). */
function onValues(socket: Socket, take: (octets: Buffer) => void): void {
  let rest = Buffer.alloc(0)
  socket.on('data', (bytes: Buffer) => {
    rest = Buffer.concat([rest, bytes])
    for (let end = endOfValue(rest, 0); end !== undefined; end = endOfValue(rest, 0)) {
      take(rest.subarray(0, end))
      rest = rest.subarray(end)
    }
  })
}

/** @returns where the value ends that begins at `at`; undefined while a part of it is missing */
function endOfValue(octets: Buffer, at: number): number | undefined {
  const lineEnd = octets.indexOf('\r\n', at)
  if (lineEnd < 0) return undefined
  const after = lineEnd + 2
  const count = Number(octets.toString('latin1', at + 1, lineEnd))
  switch (String.fromCharCode(octets[at] ?? 0)) {
    case '$': {
      const end = count < 0 ? after : after + count + 2
      return end <= octets.length ? end : undefined
    }
    case '*': {
      let end: number | undefined = after
      for (let item = 0; item < count && end !== undefined; item++) end = endOfValue(octets, end)
      return end
    }
    default:
      return after
  }
}

/** The words of a command, which is an array of bulk strings. */
function wordsOf(octets: Buffer): string[] {
  const words: string[] = []
  let at = octets.indexOf('\r\n') + 2
  while (at < octets.length) {
    const begin = octets.indexOf('\r\n', at) + 2
    const length = Number(octets.toString('latin1', at + 1, begin - 2))
    words.push(octets.toString('utf8', begin, begin + length))
    at = begin + length + 2
  }
  return words
}
