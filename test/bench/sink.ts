/**
 * The back end behind every peer: it accepts any login at once and serves one message of 1 MiB from memory, so that what is
 * measured is the proxy. It runs as a child process and reports its port. It is no IMAP server: no TLS, no mailbox, no errors.
 */
import { createServer, type Socket } from 'node:net'

const CAPABILITY = 'CAPABILITY IMAP4rev1 SASL-IR LITERAL+ AUTH=PLAIN'
const MESSAGE_BYTES = 1024 * 1024
/** Lines of 76 characters, as a mail body has them. */
const MESSAGE = Buffer.alloc(MESSAGE_BYTES, `${'m'.repeat(76)}\r\n`)

/** Answers one whole command; literals have been taken out of it and stand in the text as they came. */
function answer(socket: Socket, command: string): void {
  const [tag = '*', verb = '', argument = '', initialResponse] = command.trimEnd().split(' ')
  switch (verb.toUpperCase()) {
    case 'LOGIN':
      socket.write(`${tag} OK [${CAPABILITY}] logged in\r\n`)
      return
    case 'AUTHENTICATE':
      if (initialResponse === undefined) awaitsResponse.set(socket, tag)
      socket.write(initialResponse === undefined ? '+ \r\n' : `${tag} OK [${CAPABILITY}] logged in\r\n`)
      return
    case 'CAPABILITY':
      socket.write(`* ${CAPABILITY}\r\n${tag} OK done\r\n`)
      return
    case 'UID':
    case 'FETCH':
      socket.cork() // three parts, one writev
      socket.write(`* ${verb === 'FETCH' ? argument : '1'} FETCH (BODY[] {${MESSAGE_BYTES}}\r\n`)
      socket.write(MESSAGE)
      socket.write(`)\r\n${tag} OK done\r\n`)
      socket.uncork()
      return
    case 'LOGOUT':
      socket.end(`* BYE\r\n${tag} OK done\r\n`)
      return
    default:
      socket.write(`${tag} OK done\r\n`)
  }
}

/** Connections whose next line is a SASL response, with the tag that it answers. */
const awaitsResponse = new WeakMap<Socket, string>()

/** nginx sends LOGIN with synchronising literals (RFC 3501 4.3), mailmux an initial response: both are read here. */
function createCommandReader(socket: Socket): (chunk: Buffer) => void {
  let unread = ''
  let command = ''
  let literalLeft = 0
  return (chunk) => {
    unread += chunk.toString('latin1')
    for (;;) {
      if (literalLeft > 0) {
        const taken = unread.slice(0, literalLeft)
        command += taken
        unread = unread.slice(taken.length)
        literalLeft -= taken.length
        if (literalLeft > 0) return
      }
      const lineEnd = unread.indexOf('\n')
      if (lineEnd < 0) return
      const line = unread.slice(0, lineEnd + 1)
      unread = unread.slice(lineEnd + 1)
      command += line
      const literal = line.endsWith('}\r\n') ? /\{(\d+)(\+?)\}\r\n$/.exec(line) : null
      if (literal !== null) {
        literalLeft = Number(literal[1])
        if (literal[2] === '') socket.write('+ go on\r\n')
        continue
      }
      const whole = command
      command = ''
      const tag = awaitsResponse.get(socket)
      awaitsResponse.delete(socket)
      answer(socket, tag === undefined ? whole : `${tag} LOGIN`)
    }
  }
}

const server = createServer({ noDelay: true }, (socket) => {
  socket.on('data', createCommandReader(socket))
  socket.on('error', () => socket.destroy()) // a proxy that is stopped resets its sessions; nothing to report
  socket.write(`* OK [${CAPABILITY}] sink\r\n`)
})

server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
  const address = server.address()
  if (address !== null && typeof address === 'object') process.send?.({ ok: true, port: address.port })
})
// the parent has gone, however it ended
process.on('disconnect', () => process.exit(0))
