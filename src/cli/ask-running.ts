/** A question of a command to the running mailmux: over its Unix socket, or over the admin HTTP of its configuration. */
import { createAdminClient, Unanswered, type AdminClient } from '../admin/client.ts'
import { findSocket } from '../admin/find-admin.ts'
import { placeName, type AdminEndpoint } from '../admin/transport.ts'
import { loadAdminPlace, readAdminPlace } from '../config/load-admin.ts'
import type { Environment } from '../config/yaml/variables.ts'
import { escapeInJson, printable } from '../printable.ts'

export type Terminal = {
  env: Environment
  /** take one line each, without its end */
  out: (line: string) => void
  printError: (line: string) => void
  /** as the options of the command say */
  running?: RunningPlace
}

/** Where the running mailmux answers, if the files have another address or token by now, or name another place. */
export type RunningPlace = { admin?: string | undefined; tokenFile?: string | undefined }

/** EX_UNAVAILABLE of sysexits.h: no mailmux is running. */
export const NOT_RUNNING = 69

/**
 * @param name of the command, for its error messages
 * @returns the exit code that `ask` gives; 1 if mailmux refuses an order as things are; 2 if the configuration does not tell where to
 * ask, or if there is no answer; 69 if no mailmux is running
 */
export async function askRunning(
  name: string,
  configFile: string,
  terminal: Terminal,
  ask: (client: AdminClient) => Promise<number>,
  running: RunningPlace = terminal.running ?? {},
): Promise<number> {
  const { env, printError } = terminal
  const found = await findRunning(configFile, env, running)
  if ('wrong' in found) {
    printError(printable(`${name}: ${found.wrong}`))
    return 2
  }
  try {
    return await ask(createAdminClient(found.place))
  } catch (error) {
    if (!(error instanceof Unanswered)) throw error
    if (error.isAbsent) {
      printError(printable(`${name}: ${formatStart(found.looked, configFile)}`))
      return NOT_RUNNING
    }
    printError(printable(`${name}: ${error.message}`))
    return error.isRefused ? 1 : 2
  }
}

/** For an operator: nothing listens at any of these places. */
export function formatStart(looked: readonly string[], configFile: string): string {
  return `no mailmux answers at ${looked.join(' or ')}; start one with: mailmux run -c ${configFile}`
}

/** `looked`: all places where a mailmux could be, for the operator */
export type FoundPlace = { place: AdminEndpoint; looked: string[] }

/** The Unix socket if a mailmux of this configuration answers there, otherwise the port. */
export async function findRunning(
  configFile: string,
  env: Environment,
  { admin, tokenFile }: RunningPlace = {},
): Promise<FoundPlace | { wrong: string }> {
  const ofFiles = loadAdminPlace(configFile, env)
  if (admin !== undefined) {
    const named = readAdminPlace(admin, tokenFile, 'wrong' in ofFiles ? undefined : ofFiles.token)
    return 'wrong' in named ? named : { place: named, looked: [placeName(named)] }
  }
  if ('wrong' in ofFiles) return ofFiles
  const { socket, configFile: file, host, port, token } = ofFiles
  if (tokenFile !== undefined) {
    const named = readAdminPlace(placeName({ host, port, token }), tokenFile, token)
    return 'wrong' in named ? named : { place: named, looked: [placeName(named)] }
  }
  const place = (await findSocket(socket, file)) ?? { host, port, token }
  return { place, looked: [...(socket ? [socket.file] : []), placeName({ host, port, token })] }
}

/** Lines of JSON in which a terminal obeys nothing. */
export function formatJson(answer: object): string[] {
  return escapeInJson(JSON.stringify(answer, undefined, 2)).split('\n')
}
