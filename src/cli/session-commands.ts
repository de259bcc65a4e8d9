/** The arguments of `mailmux sessions` and `mailmux sessions end`. */
import type { Command } from 'commander'
import type { CommandParts } from './command-parts.ts'
import { endSessions, listSessions, type EndOptions, type ListOptions } from './sessions.ts'

export function addSessionCommands(
  program: Command,
  { configOption, terminal, exitAsUsage, exitWith }: CommandParts,
): void {
  const withFilter = (command: Command): Command =>
    command
      .addOption(configOption())
      .option('--user <user>', 'the name by which the login was routed, as in the log')
      .option('--backend <name>', 'its name in the routing file')
      .option('--client <address>', 'an address, or a network such as 192.0.2.0/24')
      .option('--listener <name>', 'its name in the configuration')
      .option('--json', 'the same facts for machines, as docs/admin-api.md describes them')

  const sessions = withFilter(program.command('sessions').exitOverride(exitAsUsage))
    .description('list the sessions of all instances of mailmux, the oldest first; `sessions end` ends them')
    .addHelpText(
      'after',
      '\nExit codes: 0 the list is whole, 1 the sessions of a worker or an instance are missing in it, 2 wrong usage or no answer.\nExample: mailmux sessions --backend store1 --client 192.0.2.0/24',
    )
    .action(async (options: ListOptions) => exitWith(await listSessions(options, terminal)))

  withFilter(sessions.command('end'))
    .description('end the sessions that match every option, each at a safe point')
    .option('--all', 'end every session, in place of a filter')
    .option('--now', 'cut sessions with a command in progress too')
    .addHelpText(
      'after',
      '\nNeeds admin.token_file. Clients may connect again at once. A session that comes to no safe point is cut after limits.end_timeout.\nExit codes: 0 the sessions end, 1 a worker or an instance did not answer, 2 wrong usage or no answer.\nExample: mailmux sessions end --user alice@example.test',
    )
    .action(async (options: EndOptions, command: Command) => {
      // An option before `end` would be lost, and with it a part of the filter.
      const misplaced = sessions.options.find(
        (option) => sessions.getOptionValueSource(option.attributeName()) === 'cli',
      )
      if (misplaced) command.error(`error: say ${misplaced.long ?? misplaced.flags} after \`end\``)
      exitWith(await endSessions(options, terminal))
    })
}
