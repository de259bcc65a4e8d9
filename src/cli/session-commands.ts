/** The arguments of `mailmux sessions`, `mailmux sessions end` and `mailmux rebalance`. */
import type { Command } from 'commander'
import type { CommandParts } from './command-parts.ts'
import {
  endSessions,
  listSessions,
  rebalance,
  type EndOptions,
  type ListOptions,
  type RebalanceOptions,
} from './sessions.ts'

export function addSessionCommands(
  program: Command,
  { configOption, terminal, exitAsUsage, exitWith }: CommandParts,
): void {
  const withFilter = (command: Command): Command =>
    command
      .addOption(configOption())
      .option('--user <user>', 'the name by which the login was routed, as in the log')
      .option('--backend <backend>', 'its name in the routing file')
      .option('--client <address>', 'an address, or a network such as 192.0.2.0/24')
      .option('--listener <name>', 'its name in the configuration')
      .option('--json', 'the same facts for machines, as docs/admin-api.md describes them')

  const sessions = withFilter(program.command('sessions').exitOverride(exitAsUsage))
    .description('list the sessions of all instances of mailmux, the oldest first; `sessions end` ends them')
    .addHelpText(
      'after',
      '\nExit codes: 0 the list is whole, 1 the sessions of a worker or an instance are missing in it, 2 wrong usage or no answer, 69 no mailmux is running.\nExample: mailmux sessions --backend store1 --client 192.0.2.0/24',
    )
    .action(async (options: ListOptions) => exitWith(await listSessions(options, terminal)))

  withFilter(sessions.command('end'))
    .description('end the sessions that match every option, each at a safe point')
    .option('--all', 'end every session, in place of a filter')
    .option('--now', 'cut sessions with a command in progress too')
    .addHelpText(
      'after',
      '\nNeeds the admin socket, or a token with the right operate. Clients may connect again at once. A session that comes to no safe point is cut after limits.end_timeout.\nExit codes: 0 the sessions end, or none matches, 1 a worker or an instance did not answer, 2 wrong usage or no answer, 69 no mailmux is running.\nExample: mailmux sessions end --user alice@example.test',
    )
    .action(async (options: EndOptions, command: Command) => {
      // An option before `end` would be lost, and with it a part of the filter.
      const misplaced = sessions.options.find(
        (option) => sessions.getOptionValueSource(option.attributeName()) === 'cli',
      )
      if (misplaced) command.error(`error: say ${misplaced.long ?? misplaced.flags} after \`end\``)
      exitWith(await endSessions(options, terminal))
    })

  withFilter(program.command('rebalance').exitOverride(exitAsUsage))
    .description(
      'end a share of the running sessions gradually, so that their clients connect again and spread over the instances',
    )
    .requiredOption('--share <percent>', 'of the sessions that match every option, such as 20%')
    .option('--over <duration>', 'the time over which they end, such as 10m; default: 60s for each 1,000 sessions')
    .addHelpText(
      'after',
      '\nNeeds the admin socket, or a token with the right operate. Moves no mailbox: see `mailmux move --from`. Without a filter it is a share of all sessions. The same share again\nchooses the same sessions, and those that have begun meanwhile.\nExit codes: 0 the sessions end, 1 a worker or an instance did not answer, 2 wrong usage or no answer, 69 no mailmux is running.\nExample: mailmux rebalance --share 20% --over 10m',
    )
    .action(async (options: RebalanceOptions) => exitWith(await rebalance(options, terminal)))
}
