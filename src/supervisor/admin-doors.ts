/** The port and the Unix socket of the admin HTTP, which follow a reload together. */
import { openAdmin, type AdminAddress, type AdminApp, type AdminServerParts } from '../admin/admin.ts'
import { openAdminSocket, type OpenAdminSocket } from '../admin/admin-socket.ts'
import type { AdminSettings } from '../config/settings.ts'
import type { InheritedSockets } from '../listener/inherited.ts'
import type { Log } from '../log.ts'
import { createAdminPort, type AdminPort } from './admin-port.ts'

type Doors = Pick<AdminSettings, 'host' | 'port' | 'socket'>

export type AdminDoorsParts = {
  port: AdminPort
  /** @throws Error with a message that follows the path */
  openSocket: (place: { file: string; mayReplace: boolean }) => Promise<OpenAdminSocket>
  log: Pick<Log, 'info' | 'warn' | 'debug'>
}

export type AdminDoors = Pick<AdminPort, 'current' | 'close'> & {
  /** Opens the port, or takes it over. @throws Error for the operator */
  openPort: (address: AdminAddress | undefined, inherited: Pick<InheritedSockets, 'take'>) => Promise<void>
  /**
   * Opens the socket at the start. The default one is left out where it cannot be opened, and so is any where this process takes the place of
   * another one, which has given it up already.
   * @param takenOver the socket of that process
   * @throws Error for the operator
   */
  openSocket: (settings: Doors | undefined, elder?: { takenOver: string | undefined }) => Promise<void>
  /** the path of the open socket */
  socketFile: () => string | undefined
  /** Opens what is new in these settings. @throws Error with a message for the operator; then nothing has changed */
  prepare: (next: Doors | undefined) => Promise<Change>
}

type Change = { commit: () => void; discard: () => void }

/** Both doors of one process. @param build is called once, when the first one opens */
export function createDoors(build: () => AdminApp, parts: AdminServerParts): AdminDoors {
  let built: AdminApp | undefined
  const app = (): AdminApp => (built ??= build())
  const doors = createAdminDoors({
    port: createAdminPort((address) => openAdmin(app(), address, parts)),
    openSocket: (place) => openAdminSocket(app(), place, parts),
    log: parts.log,
  })
  return {
    ...doors,
    close() {
      doors.close()
      built?.close()
    },
  }
}

const NOTHING: Change = { commit: () => undefined, discard: () => undefined }

export function createAdminDoors({ port, openSocket, log }: AdminDoorsParts): AdminDoors {
  let current: (OpenAdminSocket & { file: string }) | undefined
  let isClosed = false

  async function prepareSocket(next: Doors['socket'], takenOver?: string): Promise<Change> {
    if (next?.file === current?.file && current?.isThere() !== false && (current ?? next) === current) return NOTHING
    const opened = next && (await tryToOpen(next, takenOver))
    return {
      commit() {
        current?.close()
        current = opened
        if (isClosed) opened?.close()
        else if (opened) log.info({ file: opened.file }, 'admin socket is open')
      },
      discard: () => opened?.close(),
    }
  }

  async function tryToOpen({ file, isDefault }: NonNullable<Doors['socket']>, takenOver: string | undefined) {
    try {
      return { ...(await openSocket({ file, mayReplace: file === takenOver })), file }
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      if (!isDefault) throw new Error(`admin.socket: ${file} ${why}`, { cause: error })
      log.debug({ file, why }, 'no admin socket')
      return undefined
    }
  }

  return {
    async openPort(address, inherited) {
      ;(await port.prepare(address && { ...address, descriptor: inherited.take(address) })).commit()
    },
    async openSocket(settings, elder) {
      try {
        ;(await prepareSocket(settings?.socket, elder?.takenOver)).commit()
      } catch (error) {
        if (elder === undefined) throw error
        log.warn({ why: error instanceof Error ? error.message : String(error) }, 'no admin socket')
      }
    },
    socketFile: () => current?.file,
    async prepare(next) {
      const prepared = await port.prepare(next)
      const socket = await prepareSocket(next?.socket).catch((error: unknown) => {
        prepared.discard()
        throw error
      })
      return {
        commit() {
          prepared.commit()
          socket.commit()
        },
        discard() {
          prepared.discard()
          socket.discard()
        },
      }
    },
    current: port.current,
    close() {
      isClosed = true
      port.close()
      current?.close()
    },
  }
}
