/** Puts TLS on a socket that is already connected, for either leg. Hands out a socket whose handshake is done, or throws; sets no timer. */
import type { Socket } from 'node:net'
import { connect, TLSSocket, type ConnectionOptions, type TLSSocketOptions } from 'node:tls'

/** The server's side of a handshake. On failure the socket is destroyed. */
export function acceptTls(socket: Socket, options: TLSSocketOptions): Promise<TLSSocket> {
  return handshake(new TLSSocket(socket, { ...options, isServer: true }), 'secure')
}

/** The client's side; `options` say whom to trust and which name to expect. On failure the socket is destroyed. */
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
      // For life: between two owners of the socket an error would otherwise end the process. 'close' follows each error.
      socket.on('error', ignore)
      if (!error) return resolve(socket)
      socket.destroy()
      reject(error)
    }
    const onDone = (): void => settle()
    // Who says nothing more before the handshake is done is done with it: a socket that may be half open would wait for ever.
    const onEnd = (): void => settle(new Error('connection closed during the handshake'))
    socket.on(done, onDone)
    socket.on('error', settle)
    socket.on('end', onEnd)
    socket.on('close', onEnd)
  })
}

const ignore = (): void => undefined
