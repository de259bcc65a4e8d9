/** A store that answers a login when the test says so, and knows how many it has under way: what a proxy's limits look like from behind. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { READ_DEADLINE_MS, until } from './deadline.ts'
import type { MailProtocol } from './mail-client.ts'
import type { Scene } from './scene.ts'

/** A login that waits for its answer. */
export type HeldLogin = { user: string; accept: () => void; refuse: () => void }

export type HoldingStore = {
  port: number
  /** every login that has come, in order, answered or not */
  logins: HeldLogin[]
  /** the most logins that were under way at once: a login is under way from its connection to its answer or its end */
  most: () => number
  /** connections that are open now */
  open: () => number
  /** Waits until so many logins have come. */
  came: (count: number) => Promise<HeldLogin[]>
}

const WORDS = {
  imap: { greeting: '* OK ready', capability: ['* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN'] },
  pop3: { greeting: '+OK ready', capability: ['+OK', 'USER', 'SASL PLAIN', '.'] },
}

export async function startHoldingStore(scene: Scene, protocol: MailProtocol): Promise<HoldingStore> {
  const { greeting, capability } = WORDS[protocol]
  const sockets = new Set<Socket>()
  const underWay = new Set<Socket>()
  const logins: HeldLogin[] = []
  let most = 0
  const server = createServer((socket) => {
    sockets.add(socket)
    underWay.add(socket)
    most = Math.max(most, underWay.size)
    const say = (...lines: string[]): void => void socket.write(lines.map((line) => `${line}\r\n`).join(''))
    socket.on('error', () => undefined)
    socket.on('close', () => {
      sockets.delete(socket)
      underWay.delete(socket)
    })
    const hold = (initial: string, words: { yes: string; no: string }): void => {
      const [, user = ''] = Buffer.from(initial, 'base64').toString().split('\0')
      const answer = (text: string) => () => {
        underWay.delete(socket)
        say(text)
      }
      logins.push({ user, accept: answer(words.yes), refuse: answer(words.no) })
    }
    say(greeting)
    const lines = createInterface({ input: socket })
    lines.on('error', () => undefined) // it tells of the socket's errors once more
    lines.on('line', (line) => {
      const [first = '', second = '', ...rest] = line.split(' ')
      if (second === 'CAPABILITY') say(...capability, `${first} OK done`)
      else if (second === 'AUTHENTICATE')
        hold(rest[1] ?? '', { yes: `${first} OK in`, no: `${first} NO [AUTHENTICATIONFAILED] no` })
      else if (second === 'LOGOUT') socket.end(`* BYE\r\n${first} OK\r\n`)
      else if (first === 'CAPA') say(...capability)
      else if (first === 'AUTH') hold(rest[0] ?? '', { yes: '+OK in', no: '-ERR [AUTH] no' })
      else if (first === 'QUIT') socket.end('+OK\r\n')
      else say(protocol === 'imap' ? `${first} OK` : '+OK')
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  scene.closeLater(async () => {
    for (const socket of sockets) socket.destroy()
    server.close()
    await once(server, 'close')
  })
  return {
    port: (server.address() as AddressInfo).port,
    logins,
    most: () => most,
    open: () => sockets.size,
    came: (count) =>
      until(
        READ_DEADLINE_MS,
        () => (logins.length >= count ? logins : undefined),
        () => `${logins.length} logins have come, not ${count}`,
      ),
  }
}
