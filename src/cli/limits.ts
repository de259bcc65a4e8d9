/** `mailmux limits`, with its arguments: the users and addresses near a limit on clients. */
import type { Command } from 'commander'
import type { LimitsListed } from '../admin/limit-routes.ts'
import { askRunning, formatJson, type Terminal } from './ask-running.ts'
import type { CommandParts } from './command-parts.ts'
import { formatScope, reportMissing } from './coverage.ts'
import { formatColumns } from './table.ts'

type Options = { config: string; json?: true; all?: true }

const NAME = 'mailmux limits'
/** The share of a limit from which it is near. */
const NEAR = 0.5

export function addLimitsCommand(
  program: Command,
  { configOption, terminal, exitAsUsage, exitWith }: CommandParts,
): void {
  program
    .command('limits')
    .exitOverride(exitAsUsage)
    .description('list the users and addresses near a limit on clients, of all instances')
    .addOption(configOption())
    .option('--all', 'also those who use less than half of a limit, up to 1,000 in all')
    .option('--json', 'the same facts for machines, as docs/admin-api.md describes them')
    .addHelpText(
      'after',
      '\nExit codes: 0 all instances have answered, 1 an instance has not, 2 wrong usage or no answer, 69 no mailmux is running.\nExample: mailmux limits',
    )
    .action(async (options: Options) => exitWith(await listLimits(options, terminal)))
}

/** @returns the exit code: 0 if all instances have answered, 1 if not, 2 if there is no answer */
export function listLimits({ config, json, all }: Options, terminal: Terminal): Promise<number> {
  return askRunning(NAME, config, terminal, async (client) => {
    const answer = await client.limits()
    for (const line of json ? formatJson(answer) : formatLimits(answer, all === true)) terminal.out(line)
    return reportMissing({ ...answer, instances: undefined }, NAME, 'what it counts is missing', terminal)
  })
}

/** Exported for its test. */
export function formatLimits({ limits, scope, why }: LimitsListed, all: boolean): string[] {
  const shown = limits.filter(({ count, most }) => all || count >= NEAR * most)
  const rows = shown.map(({ limit, of, subject, count, most, instances = [] }) => [
    limit,
    of || '-',
    subject || '-',
    String(count),
    String(most),
    instances.length === 1 ? (instances[0]?.instance ?? '') : `${instances.length} instances`,
  ])
  const count = shown.length === 1 ? '1 is near a limit' : `${shown.length} are near a limit`
  const table = rows.length > 0 ? formatColumns([['LIMIT', 'OF', 'SUBJECT', 'COUNT', 'MOST', 'WHERE'], ...rows]) : []
  return [...table, `${all ? `${shown.length} counted` : count}${formatScope({ scope, why })}`]
}
