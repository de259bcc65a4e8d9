/** The arguments of `mailmux route`. */
import { Option, type Command } from 'commander'
import { FORMATS } from '../../routes/formats/format.ts'
import type { CommandParts } from '../command-parts.ts'
import type { MoveCommandParts } from '../move-commands.ts'
import type { ExportOptions } from './export.ts'
import type { ImportOptions } from './import.ts'
import type { ListOptions } from './list.ts'
import type { RouteOptions, SetOptions } from './single.ts'

export type RouteCommandParts = CommandParts &
  Pick<MoveCommandParts, 'onInterrupt' | 'showProgress'> & {
    stdin: () => NodeJS.ReadableStream
    /** Resolves when the text is written; false if its reader has gone. */
    write: (text: string) => Promise<boolean>
  }

const STATUSES = ['active', 'hold', 'disabled'] as const
const WORKS_IN_REDIS = '\nIt works in Redis itself, also while no mailmux runs.'

export function addRouteCommands(program: Command, parts: RouteCommandParts): void {
  const { configOption, terminal, exitAsUsage, exitWith, write, onInterrupt, stdin, showProgress } = parts
  const route = program
    .command('route')
    .description('show and change the routes of users in Redis')
    .exitOverride(exitAsUsage)
  const declare = (name: string, description: string): Command =>
    route.command(name).description(description).addOption(configOption()).exitOverride(exitAsUsage)
  const json = 'the same facts for machines'

  declare('get', 'show the route of a user, in Redis and in the routing file')
    .argument('<user>', 'the name of the route, with its domain')
    .option('--json', json)
    .addHelpText(
      'after',
      `${WORKS_IN_REDIS} \`mailmux explain\` shows the whole way of a login.\nExit codes: 0 there is a route, 1 there is none, 2 wrong usage or configuration, 75 Redis does not answer.\nExample: mailmux route get alice@example.test`,
    )
    .action(async (user: string, options: RouteOptions) => {
      const { getRoute } = await import('./single.ts')
      exitWith(await getRoute(user, options, terminal))
    })

  declare('set', 'write the route of a user, or change a part of it')
    .argument('<user>', 'the name of the route, with its domain')
    .argument('[backend]', 'of the routing file; it may be left out if there is a route')
    .addOption(new Option('--login <name>', 'to log in there with, in place of the name of the user'))
    .option('--no-login', 'log in there with the name of the user again')
    .addOption(new Option('--status <status>', 'hold: new logins wait; disabled: they are refused').choices(STATUSES))
    .option('--json', json)
    .addHelpText(
      'after',
      `${WORKS_IN_REDIS} What is not named stays as it is. It copies no mail: see \`mailmux move\`.\nExit codes: 0 the route is as ordered, 1 refused, 2 wrong usage or configuration, 75 the user is being moved, or Redis does not answer.\nExamples:\n  mailmux route set alice@example.test store2\n  mailmux route set alice@example.test --status disabled`,
    )
    .action(async (user: string, backend: string | undefined, options: SetOptions) => {
      const { setRoute } = await import('./single.ts')
      exitWith(await setRoute(user, backend, options, terminal))
    })

  declare('remove', 'remove the route of a user from Redis')
    .argument('<user>', 'the name of the route, with its domain')
    .option('--json', json)
    .addHelpText(
      'after',
      `${WORKS_IN_REDIS} It says what the next login of the user does.\nExit codes: 0 there is no route any more, 1 refused, 2 wrong usage or configuration, 75 the user is being moved, or Redis does not answer.\nExample: mailmux route remove alice@example.test`,
    )
    .action(async (user: string, options: RouteOptions) => {
      const { removeRoute } = await import('./single.ts')
      exitWith(await removeRoute(user, options, terminal))
    })

  declare('list', 'list the routes in Redis, in the order in which Redis has them')
    .argument('[pattern]', 'of the names, where * stands for any text, such as *@example.test')
    .option('--backend <backend>', 'those to this back end')
    .addOption(new Option('--status <status>', 'those with this status').choices(STATUSES))
    .option('--limit <number>', 'end after this number of routes')
    .option('--json', 'one JSON object a line')
    .addHelpText(
      'after',
      '\nRedis serves logins in between. A route that is written meanwhile may be missing. The routes of the routing file are not listed.\nExit codes: 0 the list is whole or has --limit routes, 2 wrong usage or configuration, 75 Redis does not answer.\nExample: mailmux route list --backend store1 --limit 20',
    )
    .action(async (pattern: string | undefined, options: ListOptions) => {
      const { listRoutes } = await import('./list.ts')
      exitWith(await listRoutes(pattern, options, { ...terminal, write }))
    })

  declare('import', 'write the routes of a file to Redis, after all of it was checked')
    .argument('<file>', 'or - for standard input')
    .addOption(
      new Option('--format <format>', 'default: by the ending of the name, or by the first lines').choices(FORMATS),
    )
    .option('--skip-bad', 'leave lines with a mistake out, in place of writing nothing')
    .option('--dry-run', 'check the file, compare it with Redis, and write nothing')
    .option('--fill-lost', 'write to a Redis that has lost its data, before it is accepted as it is')
    .option('--json', 'the counts for machines')
    .addHelpText(
      'after',
      `\nFormats: csv (user,backend,login,status; with or without a header), jsonl (an object a line with these keys),
dovecot (a passwd-file with host= in the extra fields) and nginx (a map of users to host:port).
A back end is named by its name, its host, or host and port. What a line does not say stays as it is in Redis.
Every mistake is reported with its line. A second run skips what is in Redis already, and so goes on where the first has ended.
Exit codes: 0 the routes are in Redis, 1 the file has mistakes or Redis has refused a route, 2 wrong usage, file or configuration,
75 interrupted, a user is being moved, or Redis does not answer: the same command goes on.
Examples:
  mailmux route import --dry-run routes.csv
  mailmux route import --format dovecot /etc/dovecot/proxy-users`,
    )
    .action(async (file: string, options: ImportOptions) => {
      const { importRoutes } = await import('./import.ts')
      const stop = onInterrupt('mailmux route import: ended at once: the same command goes on')
      exitWith(await importRoutes(file, options, { ...terminal, stop, stdin, showProgress }))
    })

  declare('export', 'print the routes in Redis in a format that `route import` reads')
    .argument('[pattern]', 'of the names, where * stands for any text, such as *@example.test')
    .addOption(new Option('--format <format>', 'of the output').choices(FORMATS).default('csv'))
    .option('--backend <backend>', 'those to this back end')
    .addOption(new Option('--status <status>', 'those with this status').choices(STATUSES))
    .addHelpText(
      'after',
      '\ncsv and jsonl have all of a route. dovecot has no status, and nginx neither status nor login: such routes are left out and counted.\nExit codes: 0 all routes are printed, 1 some are left out, or the output was cut, 2 wrong usage or configuration, 75 Redis does not answer.\nExample: mailmux route export --format jsonl > routes.jsonl',
    )
    .action(async (pattern: string | undefined, options: ExportOptions) => {
      const { exportRoutes } = await import('./export.ts')
      exitWith(await exportRoutes(pattern, options, { ...terminal, write }))
    })
}
