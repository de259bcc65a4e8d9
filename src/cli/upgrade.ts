/** `mailmux upgrade`: the running mailmux starts a new version with its open ports. The command ends when that serves, or with the reason why it does not. */
import type { Command } from 'commander'
import { readDuration } from '../duration.ts'
import { printable } from '../printable.ts'
import { askRunning, formatJson, type Terminal } from './ask-running.ts'
import type { CommandParts } from './command-parts.ts'

export type UpgradeOptions = { config: string; program?: string; timeout?: string; json?: true }

const NAME = 'mailmux upgrade'

export function addUpgradeCommand(
  program: Command,
  { configOption, terminal, exitAsUsage, exitWith }: CommandParts,
): void {
  program
    .command('upgrade')
    .exitOverride(exitAsUsage)
    .description('let the running mailmux hand its ports over to a new version, and wait until that serves')
    .addOption(configOption())
    .option('--program <file>', 'the executable of the new version (default: the path of the version that runs)')
    .option('--timeout <duration>', 'for the start of the new version (default: 2m)')
    .option('--json', 'the same facts for machines, as docs/admin-api.md describes them')
    .addHelpText(
      'after',
      '\nIt needs the admin socket, or a token with the right operate, and works as SIGUSR2 does. The new version checks the configuration first; if it does not take it, or does not\ncome to serve, the old version goes on. No connection is refused. The old version ends its sessions at safe points within shutdown_grace.\nExit codes: 0 the new version serves, 1 nothing has changed, 2 wrong usage or no answer, 69 no mailmux is running.\nExample: mailmux upgrade --program /opt/mailmux-1.4/bin/mailmux',
    )
    .action(async (options: UpgradeOptions) => exitWith(await upgrade(options, terminal)))
}

/** @returns the exit code: 0 if the new version serves, 1 if nothing has changed, 2 for wrong usage and if there is no answer */
export async function upgrade({ config, program, timeout, json }: UpgradeOptions, terminal: Terminal): Promise<number> {
  const withinMs = timeout === undefined ? undefined : readDuration(timeout)
  if (timeout !== undefined && withinMs === undefined) {
    terminal.printError(`${NAME}: --timeout: a duration such as 30s or 2m`)
    return 2
  }
  return askRunning(NAME, config, terminal, async (client) => {
    const answer = await client.upgrade({ program, withinMs })
    const { version, generation, pid } = answer
    for (const line of json
      ? formatJson(answer)
      : [`mailmux ${version} serves: generation ${generation}, process ${pid}`])
      terminal.out(printable(line))
    return 0
  })
}
