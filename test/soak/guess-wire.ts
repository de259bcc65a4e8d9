/** One login over IMAP behind a PROXY header, as the guessers and the users of `guessing.ts` make it. */
import { connect } from 'node:net'

export type Visit = {
  port: number
  /** the address of the load balancer: ports towards one would run out, as a closed connection keeps its port for a minute */
  balancer: string
  address: string
  user: string
  password: string
  /** when the client gives up */
  withinMs: number
}

export type Visited = {
  /** the tagged answer, or a BYE; or `error: ` and its code; empty if none came in time */
  answer: string
  /** from the first octet sent, the connection included */
  ms: number
}

/** Sends everything in one packet, as it costs the machine least. */
export function visit({ port, balancer, address, user, password, withinMs }: Visit): Promise<Visited> {
  return new Promise((resolve) => {
    const startMs = performance.now()
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, localAddress: balancer })
    let text = ''
    let isOver = false
    const end = (answer: string): void => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      socket.destroy()
      resolve({ answer, ms: performance.now() - startMs })
    }
    const timer = setTimeout(end, withinMs, '')
    socket.on('error', (error: NodeJS.ErrnoException) => end(`error: ${error.code ?? error.message}`))
    socket.on('close', () => end(`closed: ${text}`))
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1')
      const answer = /^(?:a|\* BYE) .*$/m.exec(text)?.[0]
      if (answer !== undefined) end(answer)
    })
    socket.write(
      `PROXY TCP4 ${address} 198.51.100.1 4711 143\r\na LOGIN ${user}@example.test ${password}\r\n`,
      'latin1',
    )
  })
}

/** Runs `run` so many times a second until the time is over, whatever becomes of those before. */
export async function pace(perSecond: number, seconds: number, run: (n: number) => Promise<void>): Promise<void> {
  const startedMs = performance.now()
  const endMs = startedMs + seconds * 1000
  const all = new Set<Promise<void>>()
  let n = 0
  for (let nowMs = startedMs; nowMs < endMs; nowMs = performance.now()) {
    const due = ((nowMs - startedMs) / 1000) * perSecond
    while (n < due) {
      const one = run(n++)
      all.add(one)
      void one.then(() => all.delete(one))
    }
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  await Promise.all(all)
}
