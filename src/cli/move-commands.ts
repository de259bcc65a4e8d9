/** The command `move` as typed: its options and its help. */
import type { Command } from 'commander'
import type { CommandParts } from './command-parts.ts'
import type { MoveOptions } from './move.ts'

export type MoveCommandParts = CommandParts & {
  /** From now on a signal aborts instead of ending the process; a second one ends it, and the holds that it leaves expire. */
  onInterrupt: () => AbortSignal
}

const HELP = `
The command of --run gets MAILMUX_USER, MAILMUX_FROM, MAILMUX_TO and MAILMUX_PASS (1, 2 and so on before the hold, then final).
It ends with 0, with 2 to be run again, with 75 for a temporary failure, or with another code for a failure.
Exit codes: 0 moved, 1 not moved, 75 not moved and may be tried again, 2 wrong usage or configuration.
Example: mailmux move alice@example.test store2 --run /usr/local/lib/mailmux/dsync-move`

export function addMoveCommands(
  program: Command,
  { configOption, terminal, exitAsUsage, exitWith, onInterrupt }: MoveCommandParts,
): void {
  program
    .command('move')
    .description('move a user to another back end: copy, hold, end the sessions, copy the rest, switch the route')
    .argument('<user>', 'the name of the user')
    .argument('<backend>', 'the target')
    .addOption(configOption())
    .option('--run <command>', 'the shell command that copies the mailbox, such as contrib/dsync-move')
    .option(
      '--settle <duration>',
      'from the hold to the last copy, for mail on its way (default: 35s with `delivery`, else 0s)',
    )
    .option('--assume-dead', 'instances that have lost their heartbeat have ended, and are not cut off')
    .option('--offline', 'no instance runs')
    .addHelpText('after', HELP)
    .exitOverride(exitAsUsage)
    .action(async (user: string, backend: string, options: MoveOptions) => {
      const { moveOne } = await import('./move.ts')
      exitWith(await moveOne(user, backend, options, { ...terminal, stop: onInterrupt() }))
    })
}
