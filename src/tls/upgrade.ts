/** TLS on a connected socket, for both legs. Returns a socket after its handshake, or throws. Sets no timer: the caller has a deadline. */
import type { Socket } from 'node:net'
import { connect, TLSSocket, type ConnectionOptions, type TLSSocketOptions } from 'node:tls'

/** The server's side of a handshake. On failure the socket is destroyed. */
export function acceptTls(socket: Socket, options: TLSSocketOptions): Promise<TLSSocket> {
  return handshake(new TLSSocket(socket, { ...options, isServer: true }), 'secure')
}

/** The client's side; `options` has the trusted CAs and the expected name. On failure the socket is destroyed. */
export function connectTls(socket: Socket, options: ConnectionOptions): Promise<TLSSocket> {
  return handshake(connect({ ...options, socket }), 'secureConnect')
}

function handshake(socket: TLSSocket, done: 'secure' | 'secureConnect'): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      socket.off(done, onDone)
      socket.off('error', settle)
      socket.off('end', onEnd)
      socket.off('close', onEnd)
      // Stays until the end: an error while the socket has no owner would end the process. 'close' follows each error.
      socket.on('error', ignore)
      if (!error) return resolve(socket)
      socket.destroy()
      reject(error)
    }
    const onDone = (): void => settle()
    // A socket that allows half-open connections would wait for ever after the peer's end.
    const onEnd = (): void => settle(new Error('connection closed during the handshake'))
    socket.on(done, onDone)
    socket.on('error', settle)
    socket.on('end', onEnd)
    socket.on('close', onEnd)
  })
}

const ignore = (): void => undefined
