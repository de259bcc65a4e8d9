/** `mailmux instances`: the instances of the site, asked of one of them. */
import type { Command } from 'commander'
import type { InstancesAnswer } from '../admin/answers.ts'
import { toEpochMs } from '../clock.ts'
import { askRunning, formatJson, type Terminal } from './ask-running.ts'
import { formatScope } from './coverage.ts'
import type { CommandParts } from './command-parts.ts'
import { formatColumns, formatMs } from './table.ts'

export type InstancesOptions = { config: string; json?: true }

const NAME = 'mailmux instances'

export function addInstancesCommand(
  program: Command,
  { configOption, terminal, exitAsUsage, exitWith }: CommandParts,
): void {
  program
    .command('instances')
    .exitOverride(exitAsUsage)
    .description('list the instances of mailmux that use the same Redis, and name those that do not answer')
    .addOption(configOption())
    .option('--json', 'the same facts for machines, as docs/admin-api.md describes them')
    .addHelpText(
      'after',
      '\nExit codes: 0 all instances have answered, 1 an instance has not, or others may be missing, 2 wrong usage or no answer, 69 no mailmux is running.\nExample: mailmux instances -c /etc/mailmux/mailmux.yaml',
    )
    .action(async (options: InstancesOptions) => exitWith(await listInstances(options, terminal)))
}

/** @returns the exit code: 0 if all instances have answered, 1 if not, 2 if there is no answer */
export async function listInstances({ config, json }: InstancesOptions, terminal: Terminal): Promise<number> {
  return askRunning(NAME, config, terminal, async (client) => {
    const answer = await client.instances()
    for (const line of json ? formatJson(answer) : formatInstances(answer, toEpochMs(performance.now())))
      terminal.out(line)
    if (answer.scope === 'partial')
      terminal.printError(`${NAME}: other instances may be missing: ${answer.why ?? 'unknown'}`)
    return answer.scope !== 'partial' && answer.instances.every(({ state }) => state === 'up') ? 0 : 1
  })
}

/** Exported for its test. @param nowMs in milliseconds of the epoch */
export function formatInstances({ instances, scope, why }: InstancesAnswer, nowMs: number): string[] {
  const header = ['HOST', 'ID', 'STATE', 'VERSION', 'GENERATION', 'WORKERS', 'SESSIONS', 'AGE', '']
  const rows = instances.map((one) => [
    one.host,
    one.id,
    one.state,
    one.version ?? '-',
    String(one.generation ?? '-'),
    String(one.workers ?? '-'),
    String(one.sessions ?? '-'),
    one.sinceMs === undefined ? '-' : formatMs(Math.max(0, Math.floor((nowMs - one.sinceMs) / 1000) * 1000)),
    noteOf(one),
  ])
  const missing = instances.filter(({ state }) => state !== 'up').length
  const count = instances.length === 1 ? '1 instance' : `${instances.length} instances`
  const summary = missing === 0 ? count : `${count}, of which ${missing} did not answer`
  return [...formatColumns([header, ...rows]), `${summary}${formatScope({ scope, why })}`]
}

function noteOf({ self, heartbeatSeconds }: InstancesAnswer['instances'][number]): string {
  if (heartbeatSeconds !== undefined) return `last heartbeat ${formatMs(heartbeatSeconds * 1000)} ago`
  return self ? '(this instance)' : ''
}
