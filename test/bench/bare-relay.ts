/**
 * A proxy with nothing to it, so that what mailmux costs can be told apart from what its runtime does: greets, takes one login in the
 * one form that the load generator sends, replays it, and pipes both ways. It checks, limits, counts and logs nothing, believes
 * everything, and would be the end of anybody's mail service. Arguments: ports of IMAP, IMAP in TLS and POP3, those of the back end,
 * and the files of certificate and key.
 */
import { readFileSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { createSecureContext, TLSSocket } from 'node:tls'

const OPTIONS = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 120_000 }

const [imap, imaps, pop3, backendImap, backendPop3, certFile = '', keyFile = ''] = process.argv.slice(2)
const secureContext = createSecureContext({
  cert: readFileSync(certFile),
  key: readFileSync(keyFile),
  ticketKeys: Buffer.alloc(48, 1), // the first of many keys that are no secret here
})

const plain = (user: string, password: string): string => Buffer.from(`\0${user}\0${password}`).toString('base64')

function listen(port: string | undefined, serve: (socket: Socket) => void): void {
  createServer(OPTIONS, serve).listen({ host: '127.0.0.1', port: Number(port), backlog: 4096 })
}

function serveImap(client: Socket): void {
  client.on('error', () => undefined)
  client.write('* OK [CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN] bare\r\n', 'latin1')
  client.once('data', (chunk) => {
    const [tag = '', , user = '', password = ''] = chunk.toString('latin1').trim().split(' ')
    const login = `A AUTHENTICATE PLAIN ${plain(unquoted(user), unquoted(password))}\r\n`
    logIn(client, backendImap, login, (answer) => tag + answer.slice(1))
  })
}

function servePop3(client: Socket): void {
  client.on('error', () => undefined)
  client.write('+OK bare\r\n', 'latin1')
  client.once('data', (userLine) => {
    client.write('+OK\r\n', 'latin1')
    client.once('data', (passLine) => {
      const [user, password] = [userLine, passLine].map((line) => line.toString('latin1').trim().slice('USER '.length))
      logIn(client, backendPop3, `AUTH PLAIN ${plain(user ?? '', password ?? '')}\r\n`, (answer) => answer)
    })
  })
}

function unquoted(text: string): string {
  return text.replace(/^"|"$/g, '')
}

/** One read is taken for one line: over loopback, and from this back end, it is. */
function logIn(client: Socket, port: string | undefined, login: string, translate: (answer: string) => string): void {
  client.pause()
  const backend = connect({ host: '127.0.0.1', port: Number(port), ...OPTIONS })
  backend.on('error', () => client.destroy())
  backend.once('data', () => {
    backend.write(login, 'latin1')
    backend.once('data', (answer) => {
      client.write(translate(answer.toString('latin1')), 'latin1')
      join(client, backend)
      join(backend, client)
      client.resume()
    })
  })
}

function join(from: Socket, to: Socket): void {
  from.on('data', (chunk) => {
    if (!to.write(chunk)) from.pause()
  })
  to.on('drain', () => from.resume())
  from.on('end', () => to.end())
  from.on('close', () => to.destroySoon())
}

listen(imap, serveImap)
listen(pop3, servePop3)
listen(imaps, (socket) => {
  socket.on('error', () => undefined)
  const client = new TLSSocket(socket, { isServer: true, secureContext })
  client.on('error', () => undefined)
  client.once('secure', () => serveImap(client))
})
