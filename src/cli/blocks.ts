/** `mailmux block`, `mailmux unblock` and `mailmux blocks`, with their arguments, and the command for the limits beside them. */
import { hostname, userInfo } from 'node:os'
import type { Command } from 'commander'
import type { BlockDone, BlocksListed } from '../admin/block-routes.ts'
import { askRunning, formatJson, type Terminal } from './ask-running.ts'
import type { CommandParts } from './command-parts.ts'
import { formatScope, reportMissing } from './coverage.ts'
import { addLimitsCommand } from './limits.ts'
import { formatColumns } from './table.ts'

type Options = { config: string; json?: true }
type BlockOptions = Options & { for?: string }

const EXIT_CODES =
  'Exit codes: 0 in force on all instances, 1 refused, or a worker or an instance did not answer, 2 wrong usage or no answer, 69 no mailmux is running.'

export function addBlockCommands(program: Command, parts: CommandParts): void {
  const { configOption, terminal, exitAsUsage, exitWith } = parts
  addLimitsCommand(program, parts)
  const declare = (text: string): Command =>
    program
      .command(text)
      .exitOverride(exitAsUsage)
      .addOption(configOption())
      .option('--json', 'the same facts for machines, as docs/admin-api.md describes them')

  declare('block <target>')
    .description('keep an address, a network or a user out, and end their sessions; on all instances at once')
    .option('--for <duration>', 'how long, such as 1h; default: until `mailmux unblock`')
    .addHelpText(
      'after',
      `\nNeeds the admin socket, or a token with the right operate. Sessions end at a safe point, at the latest after limits.end_timeout. Without Redis the block is of this instance, until it stops.\n${EXIT_CODES}\nExample: mailmux block 192.0.2.7 --for 1h`,
    )
    .action(async (target: string, options: BlockOptions) => exitWith(await block(target, options, terminal)))

  declare('unblock <target>')
    .description('end a block')
    .addHelpText(
      'after',
      `\nNeeds the admin socket, or a token with the right operate.\n${EXIT_CODES}\nExample: mailmux unblock 192.0.2.7`,
    )
    .action(async (target: string, options: Options) => exitWith(await unblock(target, options, terminal)))

  declare('blocks')
    .description('list the blocks that are in force')
    .addHelpText(
      'after',
      '\nExit codes: 0 listed, 2 wrong usage or no answer, 69 no mailmux is running.\nExample: mailmux blocks',
    )
    .action(async (options: Options) => exitWith(await listBlocks(options, terminal)))
}

/** @returns the exit code: 0, 1 if it is refused or not in force everywhere, 2 if there is no answer */
export function block(
  target: string,
  { config, json, for: period }: BlockOptions,
  terminal: Terminal,
): Promise<number> {
  return askRunning('mailmux block', config, terminal, async (client) => {
    const by = `${userInfo().username}@${hostname()}`.replace(/[^\w.@-]/g, '-').slice(0, 100)
    const done = await client.block({ target, by, ...(period !== undefined && { for: period }) })
    return report(done, 'is blocked', 'mailmux block', json, terminal)
  })
}

/** @returns as `block` */
export function unblock(target: string, { config, json }: Options, terminal: Terminal): Promise<number> {
  return askRunning('mailmux unblock', config, terminal, async (client) =>
    report(await client.unblock(target), 'is not blocked any more', 'mailmux unblock', json, terminal),
  )
}

function report(done: BlockDone, what: string, name: string, json: true | undefined, terminal: Terminal): number {
  const { target, untilMs } = done.block
  const until = untilMs === undefined ? '' : ` until ${new Date(untilMs).toISOString()}`
  const { ended } = done
  const sessions = ended === 0 ? '' : `; ${ended} ${ended === 1 ? 'session ends' : 'sessions end'}`
  for (const line of json ? formatJson(done) : [`${target} ${what}${until}${sessions}${formatScope(done)}`])
    terminal.out(line)
  return reportMissing(done, name, 'it takes over the change within 5 seconds of its return', terminal)
}

export function listBlocks({ config, json }: Options, terminal: Terminal): Promise<number> {
  return askRunning('mailmux blocks', config, terminal, async (client) => {
    const answer = await client.blocks()
    for (const line of json ? formatJson(answer) : formatBlocks(answer)) terminal.out(line)
    return 0
  })
}

/** Exported for its test. */
export function formatBlocks({ blocks, scope, why }: BlocksListed): string[] {
  const at = (ms: number | undefined): string => (ms === undefined ? '-' : new Date(ms).toISOString())
  const rows = blocks.map(({ target, sinceMs, untilMs, by = '-' }) => [target, at(sinceMs), at(untilMs), by])
  const count = blocks.length === 1 ? '1 block' : `${blocks.length} blocks`
  const table = rows.length > 0 ? formatColumns([['BLOCKED', 'SINCE', 'UNTIL', 'BY'], ...rows]) : []
  return [...table, `${count}${formatScope({ scope, why })}`]
}
