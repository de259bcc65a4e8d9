/** Logins that are refused for their account's sake, by the hundred: the fastest way to have a whole mailmux look up a million users. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { createInterface } from 'node:readline'
import { userName } from './write-routes.ts'

const CONNECTIONS = 8
const PIPELINED = 100

/** Gives how to log in users 0 to `users` - 1, each once; that rejects when one is answered anything but that the account is disabled. */
export async function openFloodgate(port: number): Promise<(users: number) => Promise<void>> {
  const connections = await Promise.all(
    Array.from({ length: CONNECTIONS }, async () => {
      const socket = connect({ host: '127.0.0.1', port, noDelay: true })
      const lines = createInterface({ input: socket })[Symbol.asyncIterator]()
      await once(socket, 'connect')
      await lines.next() // the greeting
      return { socket, lines }
    }),
  )
  return async (users) => {
    let next = 0
    const goOn = async ({ socket, lines }: (typeof connections)[number]): Promise<void> => {
      while (next < users) {
        const batch = Array.from({ length: Math.min(PIPELINED, users - next) }, () => userName(next++))
        socket.write(batch.map((user) => `a LOGIN ${user} secret\r\n`).join(''))
        for (const user of batch) {
          const { value: line } = (await lines.next()) as { value?: string }
          if (!line?.startsWith('a NO [CONTACTADMIN]')) throw new Error(`${user} was told ${line ?? 'nothing'}`)
        }
      }
      socket.destroy()
    }
    await Promise.all(connections.map(goOn))
  }
}
