/** The arguments of `mailmux move` and `mailmux wait`. */
import type { Command } from 'commander'
import type { CommandParts } from './command-parts.ts'
import type { ManyOptions } from './move-many.ts'
import type { WaitOptions } from './wait.ts'

export type MoveCommandParts = CommandParts & {
  /** From now on a signal aborts instead of ending the process; a second one ends it with this line. */
  onInterrupt: (atOnce: string) => AbortSignal
  /** shows one line in the place of the last one; undefined where standard error is no terminal */
  showProgress: ((line: string) => void) | undefined
}

const HELP = `
The command of --run gets MAILMUX_USER, MAILMUX_FROM, MAILMUX_TO and MAILMUX_PASS (1, 2 and so on before the hold, then final).
It ends with 0, with 2 to be run again, with 75 for a temporary failure, or with another code for a failure.
Exit codes: 0 moved, 1 not moved, 2 wrong usage or configuration,
75 not moved, and the same command may succeed later: after Ctrl-C, while another move holds the user, and while
Redis or an instance does not answer.
Examples:
  mailmux move alice@example.test store2 --run /usr/local/lib/mailmux/dsync-move
  mailmux move --from store1 --share 20% --parallel 20 --journal store1.journal --run /usr/local/lib/mailmux/dsync-move`

const ENDED_AT_ONCE = 'mailmux move: ended at once: a hold that it leaves expires within 60 s'

export function addMoveCommands(
  program: Command,
  { configOption, terminal, exitAsUsage, exitWith, onInterrupt, showProgress }: MoveCommandParts,
): void {
  program
    .command('move')
    .description('move users to another back end: copy, hold, end the sessions, copy the rest, switch the route')
    .argument('[user]', 'the name of one user')
    .argument('[backend]', 'the target of that user')
    .addOption(configOption())
    .option('--run <command>', 'the shell command that copies the mailbox, such as contrib/dsync-move')
    .option('--from <backend>', 'in place of one user: the users of this back end')
    .option('--to <backend>', 'their target (default: by `placement`, each user for itself)')
    .option('--users <file>', 'those of a file, one a line (default: all that Redis has)')
    .option('--share <percent>', 'a part of them, always the same one, such as 20%')
    .option('--parallel <number>', 'users at a time', '1')
    .option('--journal <file>', 'keeps what was done, so that the same command goes on after an interruption')
    .option('--dry-run', 'list the users and their targets, and change nothing')
    .option(
      '--settle <duration>',
      'from the hold to the last copy, for mail on its way (default: 35s with `delivery`, else 0s)',
    )
    .option('--assume-dead', 'instances that have lost their heartbeat have ended, and are not cut off')
    .option('--offline', 'no instance runs')
    .option('--json', 'one JSON object a line: each step, the end of each user, and the sums')
    .addHelpText('after', HELP)
    .exitOverride(exitAsUsage)
    .action(async (user: string | undefined, backend: string | undefined, options: Typed, command: Command) => {
      const { from, ...rest } = options
      const wrong = whyUnclear(user, backend, options)
      if (wrong !== undefined) command.error(`error: ${wrong}`, { exitCode: 2 })
      const interruptible = { ...terminal, stop: onInterrupt(ENDED_AT_ONCE) }
      if (from !== undefined) {
        const { moveAll } = await import('./move-many.ts')
        exitWith(await moveAll({ ...rest, from }, { ...interruptible, showProgress }))
      } else {
        const { moveOne } = await import('./move.ts')
        exitWith(await moveOne(user ?? '', backend ?? '', options, interruptible))
      }
    })

  program
    .command('wait')
    .description('wait until no instance has a session on a back end, as after a drain')
    .argument('<backend>', 'its name in the routing file')
    .requiredOption('--empty', 'what is waited for')
    .option('--timeout <duration>', 'end with 1 after this time, such as 10m (default: never)')
    .addOption(configOption())
    .option('--json', 'the counts at the end for machines: left, waiting and isWhole')
    .addHelpText(
      'after',
      '\nExit codes: 0 no session is left, 1 not within the timeout, 2 wrong usage or no answer, 69 no mailmux is running.\nExample: mailmux backend drain store1 && mailmux wait store1 --empty --timeout 30m',
    )
    .exitOverride(exitAsUsage)
    .action(async (backend: string, options: WaitOptions) => {
      const { waitForEmpty } = await import('./wait.ts')
      exitWith(await waitForEmpty(backend, options, terminal))
    })
}

type Typed = Omit<ManyOptions, 'from'> & { from?: string }

/** @returns what is missing or does not go together in the selection of users */
function whyUnclear(user: string | undefined, backend: string | undefined, options: Typed): string | undefined {
  const { from, to, users, share, journal, dryRun } = options
  if (from !== undefined) return user === undefined ? undefined : 'give a user and a back end, or --from'
  if (user === undefined || backend === undefined) return 'give a user and a back end, or --from'
  const isForMany = [to, users, share, journal, dryRun].some((one) => one !== undefined)
  return isForMany ? '--to, --users, --share, --journal and --dry-run need --from' : undefined
}
