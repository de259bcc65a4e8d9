/** Puts TLS on a socket that is already connected, for either leg. Hands out a socket whose handshake is done, or throws; sets no timer. */
import type { Socket } from 'node:net'
import { connect, TLSSocket, type ConnectionOptions, type TLSSocketOptions } from 'node:tls'

/**
 * The server's side of a handshake. It begins when the client does: Node has a TLS session read into a piece of 64 KiB that it keeps as
 * long as the session lasts, but into one of 1 KiB, and a larger one only where that is filled, where the first bytes are there already.
 * A silent session holds a fifth less for it. On failure the socket is destroyed.
 */
export async function acceptTls(socket: Socket, options: TLSSocketOptions): Promise<TLSSocket> {
  if (socket.readableLength === 0) await happens(socket, 'readable')
  const secured = new TLSSocket(socket, { ...options, isServer: true })
  await happens(secured, 'secure')
  return secured
}

/** The client's side; `options` say whom to trust and which name to expect. On failure the socket is destroyed. */
export async function connectTls(socket: Socket, options: ConnectionOptions): Promise<TLSSocket> {
  const secured = connect({ ...options, socket })
  await happens(secured, 'secureConnect')
  return secured
}

function happens(socket: Socket, event: 'readable' | 'secure' | 'secureConnect'): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (error?: Error): void => {
      socket.off(event, onEvent)
      socket.off('error', settle)
      socket.off('end', onEnd)
      socket.off('close', onEnd)
      if (!error) return resolve()
      socket.on('error', () => undefined) // what still fails on a socket that is being destroyed is of no interest
      socket.destroy()
      reject(error)
    }
    // An end can be read too, and is no first byte.
    const onEvent = (): void => (event === 'readable' && socket.readableLength === 0 ? onEnd() : settle())
    // Who says nothing more before the handshake is done is done with it: a socket that may be half open would wait for ever.
    const onEnd = (): void => settle(new Error('connection closed during the handshake'))
    socket.on(event, onEvent)
    socket.on('error', settle)
    socket.on('end', onEnd)
    socket.on('close', onEnd)
  })
}
