/** `mailmux health`: whether the running mailmux serves, as `/readyz` says. */
import { createAdminClient, Unanswered } from '../admin/client.ts'
import { findRunning, formatJson, type Terminal } from './ask-running.ts'

/** @returns the exit code: 0 where it serves, 1 where not, 2 if the configuration has no address to ask */
export async function health(
  { config: configFile, json }: { config: string; json?: true },
  { env, out, printError, running }: Terminal,
): Promise<number> {
  const found = await findRunning(configFile, env, running)
  if ('wrong' in found) {
    printError(`mailmux health: ${found.wrong}`)
    return 2
  }
  try {
    const { ready, text } = await createAdminClient(found.place).readiness()
    for (const line of json ? formatJson({ ready, text }) : [text]) out(line)
    return ready ? 0 : 1
  } catch (error) {
    if (!(error instanceof Unanswered)) throw error
    printError(`mailmux health: ${error.message}`)
    return 1
  }
}
