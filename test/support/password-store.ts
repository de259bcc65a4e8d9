/** An IMAP store in this process: every user has the password `secret`. It is fast enough to be no limit of a measurement. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import type { Scene } from './scene.ts'

export type PasswordStore = { port: number; logins: () => { accepted: number; refused: number } }

export async function startPasswordStore(scene: Scene): Promise<PasswordStore> {
  const sockets = new Set<Socket>()
  const logins = { accepted: 0, refused: 0 }
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => sockets.delete(socket))
    socket.write('* OK ready\r\n')
    let unread = ''
    socket.on('data', (chunk) => {
      const lines = (unread + chunk.toString('latin1')).split('\r\n')
      unread = lines.pop() ?? ''
      for (const line of lines) socket.write(answerTo(line))
    })
  })
  function answerTo(line: string): string {
    const [tag = '', command = '', , initial = ''] = line.split(' ')
    if (command === 'CAPABILITY') return `* CAPABILITY IMAP4rev1 SASL-IR AUTH=PLAIN\r\n${tag} OK done\r\n`
    if (command !== 'AUTHENTICATE') return `${tag} OK done\r\n`
    const isRight = Buffer.from(initial, 'base64').toString().endsWith('\0secret')
    logins[isRight ? 'accepted' : 'refused']++
    return isRight ? `${tag} OK [CAPABILITY IMAP4rev1] in\r\n` : `${tag} NO [AUTHENTICATIONFAILED] no\r\n`
  }
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  scene.closeLater(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { port: (server.address() as AddressInfo).port, logins: () => ({ ...logins }) }
}
