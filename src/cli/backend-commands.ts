/** The arguments of `mailmux backend`. */
import type { Command } from 'commander'
import type { BackendState } from '../config/settings.ts'
import { listBackends, resetBackendState, setBackendState, type StateOptions } from './backends.ts'
import type { CommandParts } from './command-parts.ts'

const EFFECTS: Record<BackendState, string> = {
  up: 'the back end takes logins',
  drain: 'its sessions end gradually, and logins wait',
  pause: 'logins wait, for a short restart of the store',
  down: 'logins are refused as in an outage',
}

const EXIT_CODES =
  '\nNeeds the directory Redis, and the admin socket or a token with the right operate. Counts for all instances.\nExit codes: 0 the back end has the state, 1 the order is refused, 2 wrong usage or no answer, 69 no mailmux is running.'

export function addBackendCommands(
  program: Command,
  { configOption, terminal, exitAsUsage, exitWith }: CommandParts,
): void {
  const backend = program
    .command('backend')
    .description('list the back ends of the running mailmux, and give one a state')
    .exitOverride(exitAsUsage)

  backend
    .command('list')
    .description('the back ends: state; health, sessions, logins and addresses at the instance that is asked')
    .addOption(configOption())
    .option('--json', 'the same facts for machines, as docs/admin-api.md describes them')
    .addHelpText(
      'after',
      '\nExit codes: 0 the list, 2 wrong usage or no answer, 69 no mailmux is running.\nExample: mailmux backend list',
    )
    .action(async (options: { config: string; json?: true }) => exitWith(await listBackends(options, terminal)))

  for (const [state, effect] of Object.entries(EFFECTS) as [BackendState, string][]) {
    const command = backend
      .command(state)
      .description(`${effect}, by the state ${state} in Redis`)
      .argument('<backend>', 'its name in the routing file')
      .addOption(configOption())
      .option('--json', 'the same facts for machines, as docs/admin-api.md describes them')
    if (state === 'drain') {
      command
        .option(
          '--over <duration>',
          'the time over which its sessions end, such as 10m; default: 60s for each 1,000 sessions',
        )
        .option(
          '--reassign',
          'give its users another back end by placement; no mail is copied: for shared or replicated storage',
        )
        .option('--force', 'replace the drain of another operator')
    }
    command
      .addHelpText(
        'after',
        `${EXIT_CODES}\nExample: mailmux backend ${state} store1${state === 'drain' ? ' --over 10m' : ''}`,
      )
      .action(async (name: string, options: StateOptions) =>
        exitWith(await setBackendState(name, state, options, terminal)),
      )
  }

  backend
    .command('reset')
    .description('remove the state in Redis: that of the routing file counts again')
    .argument('<backend>', 'its name in the routing file')
    .addOption(configOption())
    .option('--json', 'the same facts for machines, as docs/admin-api.md describes them')
    .addHelpText('after', `${EXIT_CODES}\nExample: mailmux backend reset store1`)
    .action(async (name: string, options: { config: string; json?: true }) =>
      exitWith(await resetBackendState(name, options, terminal)),
    )
}
