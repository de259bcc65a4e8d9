/** Whether a mailmux answers on a Unix socket, and whether it is the one of a configuration. */
import { lstatSync, realpathSync } from 'node:fs'
import net from 'node:net'
import { configAnswer } from './configuration-answers.ts'
import { fetchAnswer } from './transport.ts'

/** A local program answers at once, or hangs. */
const WITHIN_MS = 3000

/**
 * Another mailmux of this machine may have the default socket. The one that is meant tells the same file of its configuration. A socket that
 * the configuration names needs no question.
 * @param configFile absolute
 */
export async function findSocket(
  socket: { file: string; isDefault: boolean } | undefined,
  configFile: string,
): Promise<{ file: string } | undefined> {
  if (!socket || !(await isServed(socket.file))) return undefined
  return socket.isDefault && !(await servesConfiguration(socket.file, configFile)) ? undefined : { file: socket.file }
}

async function servesConfiguration(file: string, configFile: string): Promise<boolean> {
  try {
    const { status, text } = await fetchAnswer({ file }, { path: '/api/v1/config', withinMs: WITHIN_MS })
    const told = status === 200 ? configAnswer.safeParse(JSON.parse(text)) : undefined
    return told?.success === true && isSameFile(told.data.file, configFile)
  } catch {
    return false
  }
}

function isSameFile(one: string, other: string): boolean {
  try {
    return one === other || realpathSync(one) === realpathSync(other)
  } catch {
    return false
  }
}

function isServed(file: string): Promise<boolean> {
  if (lstatSync(file, { throwIfNoEntry: false })?.isSocket() !== true) return Promise.resolve(false)
  return new Promise((resolve) => {
    const socket = net.connect({ path: file })
    const end = (isThere: boolean): void => {
      socket.destroy()
      resolve(isThere)
    }
    socket.setTimeout(WITHIN_MS, () => end(false))
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}
