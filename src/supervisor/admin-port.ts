/** The port of the admin HTTP, which may move while mailmux runs: the new one is open before the old one closes. */
import type { AdminAddress, OpenAdmin } from '../admin/admin.ts'
import { listenError } from '../listener/door.ts'

export type AdminPort = {
  /** Opens the port of these settings; undefined: there is none. @throws Error with a message for the operator; then nothing has changed */
  prepare: (next: AdminAddress | undefined) => Promise<{ commit: () => void; discard: () => void }>
  /** the port that is open now */
  current: () => OpenPort | undefined
  /** May be called twice. */
  close: () => void
}

type OpenPort = { host: string; port: number; server: OpenAdmin['server'] }

/** @param open serves from its return on, until what it gives is closed */
export function createAdminPort(open: (address: AdminAddress) => Promise<OpenAdmin>): AdminPort {
  let current: (OpenPort & OpenAdmin) | undefined
  let isClosed = false
  async function openOrExplain(address: AdminAddress): Promise<OpenAdmin> {
    try {
      return await open(address)
    } catch (error) {
      throw await listenError(error, 'admin', address)
    }
  }
  return {
    async prepare(next) {
      if (next?.host === current?.host && next?.port === current?.port)
        return { commit: () => undefined, discard: () => undefined }
      const opened = next && { ...(await openOrExplain(next)), host: next.host, port: next.port }
      return {
        commit() {
          current?.close()
          current = opened
          if (isClosed) opened?.close()
        },
        discard: () => opened?.close(),
      }
    },
    current: () => current,
    close() {
      isClosed = true
      current?.close()
    },
  }
}
