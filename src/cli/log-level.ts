/** `mailmux log-level`: the level of the log of the running mailmux, and another one for a time. */
import { Argument, type Command } from 'commander'
import { LOG_LEVELS, MAX_LEVEL_MS, type LevelAnswer } from '../admin/log-routes.ts'
import { readDuration } from '../duration.ts'
import { askRunning, formatJson, type Terminal } from './ask-running.ts'
import type { CommandParts } from './command-parts.ts'

type Level = (typeof LOG_LEVELS)[number]
type Options = { config: string; for?: string; json?: true }

const NAME = 'mailmux log-level'

export function addLogLevelCommand(
  program: Command,
  { configOption, terminal, exitAsUsage, exitWith }: CommandParts,
): void {
  program
    .command('log-level')
    .exitOverride(exitAsUsage)
    .description('show the level of the log of the running mailmux, or set another one for a time')
    .addArgument(
      new Argument('[level]', 'the least that is logged; reset: that of the configuration again').choices([
        ...LOG_LEVELS,
        'reset',
      ]),
    )
    .addOption(configOption())
    .option('--for <duration>', 'then that of the configuration counts again, such as 5m; without it at the next start')
    .option('--json', 'the same facts for machines, as docs/admin-api.md describes them')
    .addHelpText(
      'after',
      '\nIt is about this instance and all its workers. To set it takes the admin socket, or a token with the right operate.\nExit codes: 0 done; 1 mailmux refuses; 2 wrong usage or no answer, 69 no mailmux is running.\nExample: mailmux log-level debug --for 5m',
    )
    .action(async (level: Level | 'reset' | undefined, options: Options) =>
      exitWith(await changeLogLevel(level, options, terminal)),
    )
}

/** @returns the exit code */
export async function changeLogLevel(
  level: Level | 'reset' | undefined,
  { config, for: duration, json }: Options,
  terminal: Terminal,
): Promise<number> {
  const forMs = duration === undefined ? undefined : readDuration(duration)
  const isWrong = duration !== undefined && (forMs === undefined || forMs < 1 || forMs > MAX_LEVEL_MS)
  if (isWrong || (duration !== undefined && (level === undefined || level === 'reset'))) {
    terminal.printError(`${NAME}: --for: a duration such as 5m, up to 168h, with a level`)
    return 2
  }
  return askRunning(NAME, config, terminal, async (client) => {
    const order =
      level === undefined || level === 'reset' ? undefined : { level, ...(forMs !== undefined && { forMs }) }
    const answer = await (level === undefined ? client.logLevel() : client.setLogLevel(order))
    for (const line of json ? formatJson(answer) : [formatLevel(answer)]) terminal.out(line)
    return 0
  })
}

/** Exported for its test. */
export function formatLevel({ level, configured, leftMs }: LevelAnswer): string {
  if (leftMs !== undefined) return `${level}; ${configured} again in ${Math.ceil(leftMs / 1000)} s, as configured`
  return level === configured ? `${level}, as configured` : `${level}; ${configured} at the next start, as configured`
}
