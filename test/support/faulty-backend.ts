/** A back end that fails in one certain way, on an address and port of the test's choice, and counts who comes. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { createServer as createTlsServer } from 'node:tls'
import type { Leaf } from './certificates.ts'
import type { MailProtocol } from './mail-client.ts'
import { START_DEADLINE_MS } from './deadline.ts'
import { startProgram } from './processes.ts'
import type { Scene } from './scene.ts'

/**
 * What it does. `none` accepts each login. PREAUTH, BYE and the like are sent as the greeting, and nothing follows. `slow drip` sends a
 * greeting an octet at a time that never ends. `slow login` accepts each login after a pause. `hang after login` answers no command of a
 * session. A refused port and a black hole count no connection: see `startBlackHole`.
 */
export type Fault =
  | 'none'
  | 'reset'
  | 'hang before banner'
  | 'hang after banner'
  | 'hang in login'
  | 'slow login'
  | 'hang after login'
  | 'PREAUTH'
  | 'BYE'
  | 'garbage'
  | 'slow drip'

export type FaultyBackend = {
  port: number
  /** connections since the last `forget()` */
  connections: () => number
  forget: () => void
  /** who was let in, in order */
  logins: string[]
  /** It does this from the next connection on. */
  become: (fault: Fault) => void
  close: () => Promise<void>
}

export type FaultyOptions = {
  fault: Fault
  host?: string
  port?: number
  /** speaks TLS from the first byte, with this certificate */
  certificate?: Leaf
}

const DRIP_MS = 100
/** More than the half second in which logins are meant to succeed. */
const SLOW_LOGIN_MS = 700

/** An answer for each command; `login` says which of them lets in. */
const WORDS = {
  imap: {
    greeting: '* OK ready',
    preauth: '* PREAUTH you are root',
    bye: '* BYE Too many of you',
    isQuestion: (command: string) => /^\S+ (CAPABILITY|LOGOUT)/.test(command),
    answer: (command: string) =>
      command.includes('CAPABILITY')
        ? `* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\n${tagOf(command)} OK done`
        : command.includes('LOGOUT')
          ? `* BYE\r\n${tagOf(command)} OK done`
          : `${tagOf(command)} OK [CAPABILITY IMAP4rev1] in`,
  },
  pop3: {
    greeting: '+OK ready',
    preauth: '* PREAUTH you are root', // POP3 has no such word: somebody else's
    bye: '-ERR Too many of you',
    isQuestion: (command: string) => /^(CAPA|QUIT)/.test(command),
    answer: (command: string) => (command.startsWith('CAPA') ? '+OK\r\nSASL PLAIN\r\n.' : '+OK'),
  },
}

function tagOf(command: string): string {
  return command.split(' ')[0] ?? ''
}

/** Listens on `port` or a free one of `host` (127.0.0.1). */
export async function startFaultyBackend(
  scene: Scene,
  protocol: MailProtocol,
  options: FaultyOptions,
): Promise<FaultyBackend> {
  const words = WORDS[protocol]
  const sockets = new Set<Socket>()
  const drips = new Set<NodeJS.Timeout>()
  const logins: string[] = []
  let { fault } = options
  let connections = 0

  function converse(socket: Socket): void {
    const doing = fault
    let isIn = false
    socket.write(`${words.greeting}\r\n`)
    const lines = createInterface({ input: socket })
    lines.on('error', () => undefined) // it tells of the socket's errors once more
    lines.on('line', (command) => {
      if (doing === 'hang after banner') return
      const isLogin = !words.isQuestion(command)
      if (isLogin && doing === 'hang in login') return
      if (isIn && doing === 'hang after login') return
      if (isLogin) logins.push(command)
      isIn ||= isLogin
      const answer = (): boolean => socket.write(`${words.answer(command)}\r\n`)
      if (isLogin && doing === 'slow login') setTimeout(answer, SLOW_LOGIN_MS)
      else answer()
    })
  }

  function drip(socket: Socket): void {
    const timer = setInterval(() => socket.write(protocol === 'imap' ? '*' : '+'), DRIP_MS)
    drips.add(timer)
    socket.once('close', () => {
      clearInterval(timer)
      drips.delete(timer)
    })
  }

  const onConnection = (socket: Socket): void => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.once('close', () => sockets.delete(socket))
    switch (fault) {
      case 'reset':
        return void socket.resetAndDestroy()
      case 'hang before banner':
        return void socket.resume()
      case 'slow drip':
        return drip(socket)
      case 'PREAUTH':
        return void socket.write(`${words.preauth}\r\n`)
      case 'BYE':
        return void socket.end(`${words.bye}\r\n`)
      case 'garbage':
        return void socket.write('\x00\x7f\xfe SSH-2.0 \x01\r\n', 'latin1')
      case 'none':
      case 'hang after banner':
      case 'hang in login':
      case 'slow login':
      case 'hang after login':
        return converse(socket)
    }
  }

  const server: Server =
    options.certificate === undefined
      ? createServer(onConnection)
      : createTlsServer({ cert: options.certificate.cert, key: options.certificate.key }, onConnection)
  server.on('connection', () => connections++) // before any handshake, which a wrong certificate may end
  server.listen({ host: options.host ?? '127.0.0.1', port: options.port ?? 0 })
  await once(server, 'listening')
  const close = async () => {
    for (const timer of drips) clearInterval(timer)
    for (const socket of sockets) socket.destroy()
    if (!server.listening) return
    const closed = once(server, 'close')
    server.close()
    await closed
  }
  scene.closeLater(close)
  return {
    port: (server.address() as AddressInfo).port,
    connections: () => connections,
    forget: () => (connections = 0),
    logins,
    become: (next) => (fault = next),
    close,
  }
}

/** Listens, never accepts, and fills its own queue: the kernel then drops every further SYN, as a firewall would. */
const BLACK_HOLE = `
import signal, socket, sys
host, port = sys.argv[1], int(sys.argv[2])
hole = socket.socket()
hole.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
hole.bind((host, port))
hole.listen(0)
fillers = []
while True:
    filler = socket.socket()
    filler.settimeout(0.3)
    fillers.append(filler)
    try:
        filler.connect(hole.getsockname())
    except TimeoutError:
        break
print('full', hole.getsockname()[1], flush=True)
signal.pause()
`

/** A port where connections are neither accepted nor refused. */
export async function startBlackHole(scene: Scene, host = '127.0.0.1', port = 0): Promise<number> {
  const program = startProgram(scene, {
    name: 'black hole',
    command: 'python3',
    args: ['-c', BLACK_HOLE, host, String(port)],
  })
  const line = await program.waitForLine((text) => text.startsWith('full '), START_DEADLINE_MS, 'its queue being full')
  return Number(line.split(' ')[1])
}
