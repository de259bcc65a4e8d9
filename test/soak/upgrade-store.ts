/**
 * The store of the upgrade soak, as a child process: IMAP, POP3 and ManageSieve with one password. It sends each answer in two parts, so that
 * many commands are in progress at any time, and remembers which commands have reached it. It is no mail server: it fails never.
 */
import { createServer, type Socket } from 'node:net'
import { BODY_LINES, PASSWORD, type StoreAsk } from './upgrade-wire.ts'

/** Between both parts of an answer, at most. */
const MOST_PAUSE_MS = 20
/** Marks that are remembered, twice; a question follows its command within a second. */
const MOST_MARKS = 200_000

const BODY = `${'m'.repeat(76)}\r\n`.repeat(BODY_LINES)
let marks = new Set<string>()
let before = new Set<string>()

function remember(mark: string): void {
  marks.add(mark)
  if (marks.size < MOST_MARKS) return
  before = marks
  marks = new Set()
}

function answerInParts(socket: Socket, text: string): void {
  const half = Math.floor(text.length / 2)
  socket.write(text.slice(0, half))
  setTimeout(() => socket.write(text.slice(half)), Math.random() * MOST_PAUSE_MS)
}

const isGood = (response = ''): boolean => Buffer.from(response, 'base64').toString('latin1').endsWith(`\0${PASSWORD}`)

function imap(socket: Socket, line: string): void {
  const [tag = '', verb = '', , response] = line.split(' ')
  switch (verb.toUpperCase()) {
    case 'CAPABILITY':
      return void socket.write(`* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\n${tag} OK done\r\n`)
    case 'AUTHENTICATE':
      return void socket.write(isGood(response) ? `${tag} OK [CAPABILITY IMAP4rev1] in\r\n` : `${tag} NO no\r\n`)
    case 'FETCH':
      remember(tag)
      return answerInParts(socket, `* 1 FETCH (BODY[] {${BODY.length}}\r\n${BODY})\r\n${tag} OK done\r\n`)
    case 'LOGOUT':
      return void socket.end(`* BYE\r\n${tag} OK done\r\n`)
    default:
      socket.write(`${tag} OK done\r\n`)
  }
}

function pop3(socket: Socket, line: string): void {
  const [verb = '', argument = '', response] = line.split(' ')
  switch (verb.toUpperCase()) {
    case 'CAPA':
      return void socket.write('+OK\r\nUSER\r\nRESP-CODES\r\nPIPELINING\r\nSASL PLAIN\r\n.\r\n')
    case 'AUTH':
      return void socket.write(isGood(response) ? '+OK\r\n' : '-ERR [AUTH] no\r\n')
    case 'RETR':
      remember(`m${argument}`)
      return answerInParts(socket, `+OK\r\n${BODY}.\r\n`)
    case 'QUIT':
      return void socket.end('+OK\r\n')
    default:
      socket.write('+OK\r\n')
  }
}

const SIEVE_CAPABILITY = '"IMPLEMENTATION" "store"\r\n"SIEVE" "fileinto"\r\n"SASL" "PLAIN"\r\n"VERSION" "1.0"\r\nOK\r\n'

function managesieve(socket: Socket, line: string): void {
  const [verb = '', argument = '', response] = line.split(' ')
  switch (verb.toUpperCase()) {
    case 'CAPABILITY':
      return void socket.write(SIEVE_CAPABILITY)
    case 'AUTHENTICATE':
      return void socket.write(isGood(response?.replaceAll('"', '')) ? 'OK\r\n' : 'NO\r\n')
    case 'GETSCRIPT':
      remember(argument.replaceAll('"', ''))
      return answerInParts(socket, `{${BODY.length}}\r\n${BODY}\r\nOK\r\n`)
    case 'LOGOUT':
      return void socket.end('OK\r\n')
    default:
      socket.write('OK\r\n')
  }
}

function serve(greeting: string, answer: (socket: Socket, line: string) => void): Promise<number> {
  const server = createServer({ noDelay: true }, (socket) => {
    let unread = ''
    socket.setEncoding('latin1').on('data', (text: string) => {
      const lines = (unread + text).split('\r\n')
      unread = lines.pop() ?? ''
      for (const line of lines) answer(socket, line)
    })
    socket.on('error', () => socket.destroy()) // a mailmux that is killed resets its sessions
    socket.write(greeting)
  })
  return new Promise((resolve) => {
    server.listen({ host: '127.0.0.1', port: 0, backlog: 4096 }, () => {
      const address = server.address()
      if (address !== null && typeof address === 'object') resolve(address.port)
    })
  })
}

process.on('message', ({ marks: asked }: StoreAsk) => {
  process.send?.({ ok: true, seen: asked.map((mark) => marks.has(mark) || before.has(mark)) })
})
process.on('disconnect', () => process.exit(0))
process.send?.({
  ok: true,
  imap: await serve('* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] store\r\n', imap),
  pop3: await serve('+OK store\r\n', pop3),
  managesieve: await serve(SIEVE_CAPABILITY, managesieve),
  seen: [],
})
