/** `--admin` and `--token-file` of all commands that ask a running mailmux: where it answers, if not as the configuration says. */
import type { Command } from 'commander'
import type { RunningPlace, Terminal } from './ask-running.ts'

/** Commands with a configuration that ask no running mailmux, or have these options themselves. */
const WITHOUT = new Set(['run', 'worker', 'check', 'handover-check', 'move'])

/** Called when all commands are there. */
export function addAdminOptions(program: Command, terminal: Terminal): void {
  for (const command of leavesOf(program)) {
    const has = (option: string): boolean => command.options.some(({ long }) => long === option)
    if (WITHOUT.has(command.name()) || !has('--config') || has('--admin')) continue
    command
      .option('--admin <where>', 'unix:PATH, or HOST:PORT: where mailmux answers, if not as the configuration says')
      .option('--token-file <file>', 'the token for HOST:PORT, if not that of admin.token_file')
      .hook('preAction', (_, action) => {
        const { admin, tokenFile } = action.opts<RunningPlace>()
        terminal.running = { admin, tokenFile }
        // Some commands take their other options for a filter.
        action.setOptionValue('admin', undefined).setOptionValue('tokenFile', undefined)
      })
  }
}

function leavesOf(command: Command): Command[] {
  return command.commands.flatMap((one) => [one, ...leavesOf(one)])
}
