/**
 * The back end behind every peer: it accepts any user with the right password at once and serves one message of 1 MiB from memory, so
 * that what is measured is the proxy. It runs as a child process and reports its ports. It is no mail server: no TLS, no mailbox, no errors.
 */
import { createServer, type Server, type Socket } from 'node:net'
import { MESSAGE, PASSWORD } from './message.ts'

/** With the argument `id` it offers ID (RFC 2971), as real servers do: its proxies may then tell it who the client is. */
const CAPABILITY = `CAPABILITY IMAP4rev1 SASL-IR LITERAL+ AUTH=PLAIN${process.argv[2] === 'id' ? ' ID' : ''}`

/** Connections whose next line is a SASL response, with the tag that it answers; POP3 has none. */
const awaitsResponse = new WeakMap<Socket, string>()

/** Whether this is PLAIN (RFC 4616) with the right password. */
function isGoodResponse(response: string): boolean {
  return Buffer.from(response, 'base64').toString('latin1').endsWith(`\0${PASSWORD}`)
}

/** Answers one whole IMAP command; short literals stand in the text as they came, long ones have been left out. */
function answerImap(socket: Socket, command: string): void {
  if (command.startsWith('PROXY ')) return // a header of version 1, which tells it nothing that it needs
  const answered = awaitsResponse.get(socket)
  if (answered !== undefined) {
    awaitsResponse.delete(socket)
    answerImapLogin(socket, answered, isGoodResponse(command))
    return
  }
  const [tag = '*', verb = '', , initialResponse] = command.trimEnd().split(' ')
  switch (verb.toUpperCase()) {
    case 'LOGIN':
      answerImapLogin(socket, tag, new RegExp(`[ \\n]"?${PASSWORD}"?\\r\\n$`).test(command))
      return
    case 'AUTHENTICATE':
      if (initialResponse !== undefined) {
        answerImapLogin(socket, tag, isGoodResponse(initialResponse))
        return
      }
      awaitsResponse.set(socket, tag)
      socket.write('+ \r\n')
      return
    case 'CAPABILITY':
      socket.write(`* ${CAPABILITY}\r\n${tag} OK done\r\n`)
      return
    case 'FETCH':
      socket.cork() // three parts, one writev
      socket.write(`* 1 FETCH (BODY[] {${MESSAGE.length}}\r\n`)
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

function answerImapLogin(socket: Socket, tag: string, isGood: boolean): void {
  socket.write(isGood ? `${tag} OK [${CAPABILITY}] logged in\r\n` : `${tag} NO [AUTHENTICATIONFAILED] no\r\n`)
}

function answerPop3(socket: Socket, command: string): void {
  const line = command.trimEnd()
  if (awaitsResponse.delete(socket)) {
    socket.write(isGoodResponse(line) ? '+OK\r\n' : '-ERR [AUTH] no\r\n')
    return
  }
  const [verb = '', argument = '', initialResponse] = line.split(' ')
  switch (verb.toUpperCase()) {
    case 'PASS':
      socket.write(argument === PASSWORD ? '+OK\r\n' : '-ERR [AUTH] no\r\n')
      return
    case 'AUTH':
      if (initialResponse === undefined) awaitsResponse.set(socket, '')
      if (initialResponse === undefined) socket.write('+ \r\n')
      else socket.write(isGoodResponse(initialResponse) ? '+OK\r\n' : '-ERR [AUTH] no\r\n')
      return
    case 'CAPA':
      socket.write('+OK\r\nUSER\r\nUIDL\r\nTOP\r\nRESP-CODES\r\nPIPELINING\r\nSASL PLAIN\r\n.\r\n')
      return
    case 'QUIT':
      socket.end('+OK\r\n')
      return
    default:
      socket.write('+OK\r\n')
  }
}

/** Longer literals are messages, which nobody looks at. */
const LONG_LITERAL = 8192

/** nginx sends LOGIN with synchronising literals (RFC 3501 4.3), mailmux an initial response: both are read here. */
function createCommandReader(socket: Socket, onCommand: (command: string) => void): (chunk: Buffer) => void {
  let unread = ''
  let command = ''
  let literalLeft = 0
  let skipLeft = 0
  return (chunk) => {
    const skipped = Math.min(skipLeft, chunk.length)
    skipLeft -= skipped
    if (skipped === chunk.length) return
    unread += chunk.toString('latin1', skipped)
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
        if (literal[2] === '') socket.write('+ go on\r\n')
        const length = Number(literal[1])
        if (length <= LONG_LITERAL) {
          literalLeft = length
          continue
        }
        const present = Math.min(length, unread.length)
        unread = unread.slice(present)
        skipLeft = length - present
        if (skipLeft > 0) return
        continue
      }
      const whole = command
      command = ''
      onCommand(whole)
    }
  }
}

function serve(greeting: string, answer: (socket: Socket, command: string) => void): Promise<number> {
  const server: Server = createServer({ noDelay: true }, (socket) => {
    socket.on(
      'data',
      createCommandReader(socket, (command) => answer(socket, command)),
    )
    socket.on('error', () => socket.destroy()) // a proxy that is stopped resets its sessions; nothing to report
    socket.write(`${greeting}\r\n`)
  })
  return new Promise((resolve) => {
    server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
      const address = server.address()
      if (address !== null && typeof address === 'object') resolve(address.port)
    })
  })
}

const imap = await serve(`* OK [${CAPABILITY}] sink`, answerImap)
const pop3 = await serve('+OK sink', answerPop3)
process.send?.({ ok: true, imap, pop3 })
// the parent has gone, however it ended
process.on('disconnect', () => process.exit(0))
