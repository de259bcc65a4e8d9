/**
 * The Unix socket of the admin HTTP. Its permissions decide who may ask, so that it needs no token. It gets its name once it has its
 * permissions, in place of one that nothing serves any more, or of the one of the process whose place this process takes.
 */
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { systemCode } from '../errors.ts'
import { createAdminServer, type AdminApp, type AdminServerParts } from './admin.ts'

export type OpenAdminSocket = {
  /** Accepts no more connections, and removes the socket unless another process has replaced it. May be called twice. */
  close: () => void
  /** whether the path still leads to this socket */
  isThere: () => boolean
}

/** For the owner and the group of the process. */
const SOCKET_MODE = 0o660
/** A local program accepts at once, or hangs. */
const PROBE_MS = 1000

/**
 * @param mayReplace the process that serves the socket gives its place to this one
 * @throws Error with a message that follows the path
 */
export async function openAdminSocket(
  app: Pick<AdminApp, 'fetch'>,
  { file, mayReplace }: { file: string; mayReplace: boolean },
  parts: AdminServerParts,
): Promise<OpenAdminSocket> {
  makeDirectory(path.dirname(file))
  await checkPlace(file, mayReplace)
  const server = createAdminServer(app, { hostname: 'localhost', isSocket: true }, parts)
  const identity = await bind(server, file)
  let isClosed = false
  const isThere = (): boolean => {
    const found = lookAt(file)
    return found?.ino === identity.ino && found.dev === identity.dev
  }
  return {
    isThere,
    close() {
      // Before the end of the server: the file system may then give the number of the socket to the one of another process.
      if (!isClosed && isThere()) fs.rmSync(file, { force: true })
      isClosed = true
      server.close()
    },
  }
}

/** It binds in a directory that no other user can enter, so that no other user can connect before the permissions are set. */
async function bind(server: net.Server, file: string): Promise<fs.Stats> {
  let directory: string | undefined
  try {
    directory = fs.mkdtempSync(path.join(path.dirname(file), '.a'))
    const temporary = path.join(directory, 's')
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen({ path: temporary }, () => {
        server.off('error', reject)
        resolve()
      })
    })
    fs.chmodSync(temporary, SOCKET_MODE)
    const identity = fs.lstatSync(temporary)
    fs.renameSync(temporary, file) // at no time is there no socket, nor one that nothing serves
    return identity
  } catch (error) {
    server.close()
    throw new Error(`cannot be opened: ${systemCode(error)}`, { cause: error })
  } finally {
    if (directory !== undefined) fs.rmSync(directory, { recursive: true, force: true })
  }
}

function makeDirectory(directory: string): void {
  try {
    fs.mkdirSync(directory, { mode: 0o755 })
  } catch (error) {
    if (systemCode(error) !== 'EEXIST')
      throw new Error(`needs a directory ${directory}: ${systemCode(error)}`, { cause: error })
  }
}

/** Another user could replace the socket there, and would be sent passwords of login tests. */
async function checkPlace(file: string, mayReplace: boolean): Promise<void> {
  const directory = fs.statSync(path.dirname(file))
  if (!directory.isDirectory()) throw new Error('is in no directory')
  if ((directory.mode & fs.constants.S_IWOTH) !== 0)
    throw new Error('is in a directory that every user of this machine can change')
  const found = lookAt(file)
  if (found === undefined) return
  if (found.isSymbolicLink()) throw new Error('is a symbolic link')
  if (!found.isSocket()) throw new Error('exists and is no socket')
  if (!mayReplace && (await isServed(file))) throw new Error('is served by another process')
}

function lookAt(file: string): fs.Stats | undefined {
  return fs.lstatSync(file, { throwIfNoEntry: false })
}

/** Whether a process accepts there, as far as this process may know. */
function isServed(file: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect({ path: file })
    const end = (served: boolean): void => {
      socket.destroy()
      resolve(served)
    }
    socket.setTimeout(PROBE_MS, () => end(true))
    socket.once('connect', () => end(true))
    socket.once('error', (error) => end(!['ECONNREFUSED', 'ENOENT'].includes(systemCode(error))))
  })
}
