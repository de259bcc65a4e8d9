/** Connections to Redis that are told of changes as an instance's is, and count what they are told instead of using it. */
import { once } from 'node:events'
import { connect } from 'node:net'

/** @returns how to close them; that gives the bytes that all of them were sent */
export async function openTrackers(
  port: number,
  count: number,
  prefix: string,
): Promise<{ close: () => Promise<number> }> {
  let bytes = 0
  const sockets = await Promise.all(
    Array.from({ length: count }, async () => {
      const socket = connect({ host: '127.0.0.1', port })
      await once(socket, 'connect')
      const ask = async (command: string): Promise<string> => {
        socket.write(`${command}\r\n`)
        const [answer] = (await once(socket, 'data')) as [Buffer]
        return answer.toString('latin1')
      }
      const id = /^:(\d+)/.exec(await ask('CLIENT ID'))?.[1]
      await ask(`CLIENT TRACKING ON REDIRECT ${id ?? ''} BCAST PREFIX ${prefix}`)
      await ask('SUBSCRIBE __redis__:invalidate')
      socket.on('data', (chunk: Buffer) => (bytes += chunk.length))
      return socket
    }),
  )
  return {
    close: async () => {
      await Promise.all(
        sockets.map(async (socket) => {
          // Its answer comes after all that was told before.
          let end = ''
          const told = new Promise<void>((resolve) =>
            socket.on('data', (chunk: Buffer) => {
              end = (end + chunk.toString('latin1')).slice(-64)
              if (end.includes('pong')) resolve()
            }),
          )
          socket.write('PING\r\n')
          await told
          socket.destroy()
        }),
      )
      return bytes
    },
  }
}
