/** A mail client as a phone has it: fetches what is new and hangs up, and where it is told to come back later it does so, by its own clock. */
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'

export type WaveClient = {
  port: number
  user: string
  password: string
  /** how long it waits before it comes back: from `leastMs` to twice that */
  leastMs: number
  random: () => number
  /** told of each time that it was sent away */
  onRefused: () => void
  /** has it give up */
  signal: AbortSignal
}

/** Comes until it has been let in and has looked into its INBOX. @throws Error where its password is refused; the signal's reason */
export async function visitUntilIn(client: WaveClient): Promise<void> {
  while (!(await visit(client))) {
    client.onRefused()
    await wait(client.leastMs * (1 + client.random()), undefined, { signal: client.signal })
  }
}

/** One connection. @returns whether it has seen its INBOX */
function visit({ port, user, password, signal }: WaveClient): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>()
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  let seen = false
  const say = (line: string): void => void socket.write(`${line}\r\n`)
  socket.on('error', () => undefined) // what broke is sent away like the rest
  const leave = (): void => void socket.destroy()
  signal.addEventListener('abort', leave)
  socket.on('close', () => {
    signal.removeEventListener('abort', leave)
    resolve(seen)
  })
  const lines = createInterface({ input: socket })
  lines.on('error', () => undefined) // it tells of the socket's errors once more
  lines.on('line', (line) => {
    if (/^\* OK .* ready/.test(line)) say(`a LOGIN ${user} ${password}`)
    else if (line.startsWith('a OK')) say('b SELECT INBOX')
    else if (line.startsWith('a NO [UNAVAILABLE]')) say('c LOGOUT')
    else if (line.startsWith('a ')) {
      reject(new Error(`${user} was told ${line}`))
      socket.destroy()
    } else if (line.startsWith('b ')) {
      seen = line.startsWith('b OK')
      say('c LOGOUT')
    } else if (line.startsWith('c ')) socket.end()
  })
  return promise
}
