/** `mailmux reload`: the running mailmux reads its files. The command ends when they are in force, or with the reason why they are not. */
import type { Command } from 'commander'
import type { ReloadAnswer } from '../admin/configuration-answers.ts'
import { printable } from '../printable.ts'
import { askRunning, formatJson, type Terminal } from './ask-running.ts'
import type { CommandParts } from './command-parts.ts'

export type ReloadOptions = { config: string; json?: true }

const NAME = 'mailmux reload'

export function addReloadCommand(
  program: Command,
  { configOption, terminal, exitAsUsage, exitWith }: CommandParts,
): void {
  program
    .command('reload')
    .exitOverride(exitAsUsage)
    .description('let the running mailmux take over its files, wait until they are in force, and show what has changed')
    .addOption(configOption())
    .option('--json', 'the same facts for machines, as docs/admin-api.md describes them')
    .addHelpText(
      'after',
      '\nIt needs the admin socket, or a token with the right operate. Files with an error change nothing.\nExit codes: 0 the files are in force, 1 nothing has changed, or a worker has not confirmed the change, 2 wrong usage or no answer, 69 no mailmux is running.\nExample: mailmux reload -c /etc/mailmux/mailmux.yaml',
    )
    .action(async (options: ReloadOptions) => exitWith(await reload(options, terminal)))
}

/** @returns the exit code: 0 if the files are in force at every worker, 1 if not, 2 if there is no answer */
export async function reload({ config, json }: ReloadOptions, terminal: Terminal): Promise<number> {
  const code = await askRunning(NAME, config, terminal, async (client) => {
    const result = await client.reload()
    if ('errors' in result) {
      for (const error of result.errors) terminal.printError(printable(`${NAME}: ${error}`))
      terminal.printError(`${NAME}: nothing has changed`)
      return 1
    }
    for (const line of json ? formatJson(result) : formatReload(result)) terminal.out(line)
    for (const worker of result.late)
      terminal.printError(`${NAME}: worker ${worker} has not confirmed the change; it gets it as soon as it answers`)
    return result.late.length === 0 ? 0 : 1
  })
  if (code === 2) terminal.printError(`${NAME}: if the address or the token of admin has changed, SIGHUP takes it over`)
  return code
}

/** Exported for its test. */
export function formatReload({ changes, warnings }: ReloadAnswer): string[] {
  const sum =
    changes.length === 0
      ? 'nothing differs from the configuration in force'
      : `${changes.length} ${changes.length === 1 ? 'change' : 'changes'}`
  const lines = [...warnings, `reloaded: ${sum}`, ...changes.map(({ text }) => `  ${text}`)]
  return lines.map((line) => printable(line))
}
