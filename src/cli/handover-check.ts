/** `mailmux handover-check`: the running mailmux asks a new version before an upgrade whether it takes the present configuration. */
import net from 'node:net'
import { loadConfig } from '../config/load.ts'
import { formatProblem } from '../config/yaml/problems.ts'
import type { Terminal } from './ask-running.ts'

/** `mailmux`: the version of this program; `handover`: that of the messages between two generations */
export type HandoverFacts = { mailmux: string; handover: number }

/**
 * What it complains of goes to standard error.
 * @param facts printed as a line of JSON
 * @returns the exit code: 0 if this version can take over, else 1
 */
export function checkHandover(configFile: string, facts: HandoverFacts, { env, out, printError }: Terminal): number {
  const { settings, problems } = loadConfig(configFile, env)
  out(JSON.stringify(facts))
  for (const problem of problems) {
    if (problem.severity === 'error') printError(formatProblem(problem)[0] ?? '')
  }
  if (!settings) return 1
  if (settings.workers === 1 || 'BoundSocket' in net) return 0
  printError('workers: more than 1 needs Node 26.4 or later (net.BoundSocket)')
  return 1
}
