/** A question of a command to the running mailmux, over the admin HTTP of its configuration. */
import { createAdminClient, Unanswered, type AdminClient } from '../admin/client.ts'
import { loadAdminPlace, readAdminPlace, type AdminPlace } from '../config/load-admin.ts'
import type { Environment } from '../config/yaml/variables.ts'
import { escapeInJson, printable } from '../printable.ts'

export type Terminal = {
  env: Environment
  /** take one line each, without its end */
  out: (line: string) => void
  printError: (line: string) => void
}

/** Where the running mailmux answers, if the files have another address or token by now. */
export type RunningPlace = { admin?: string | undefined; tokenFile?: string | undefined }

/**
 * @param name of the command, for its error messages
 * @returns the exit code that `ask` gives; 1 if mailmux refuses an order as things are; 2 if the configuration does not tell where to
 * ask, or if there is no answer
 */
export async function askRunning(
  name: string,
  configFile: string,
  { env, printError }: Terminal,
  ask: (client: AdminClient) => Promise<number>,
  running: RunningPlace = {},
): Promise<number> {
  const place = placeOf(configFile, env, running)
  if ('wrong' in place) {
    printError(printable(`${name}: ${place.wrong}`))
    return 2
  }
  try {
    return await ask(createAdminClient(place))
  } catch (error) {
    if (!(error instanceof Unanswered)) throw error
    printError(printable(`${name}: ${error.message}`))
    return error.isRefused ? 1 : 2
  }
}

function placeOf(
  configFile: string,
  env: Environment,
  { admin, tokenFile }: RunningPlace,
): AdminPlace | { wrong: string } {
  const ofFiles = loadAdminPlace(configFile, env)
  if (admin === undefined) return ofFiles
  return readAdminPlace(admin, tokenFile, 'wrong' in ofFiles ? undefined : ofFiles.token)
}

/** Lines of JSON in which a terminal obeys nothing. */
export function formatJson(answer: object): string[] {
  return escapeInJson(JSON.stringify(answer, undefined, 2)).split('\n')
}
