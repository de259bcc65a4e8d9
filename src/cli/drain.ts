/** `mailmux drain --self`: the running mailmux takes no more clients, and ends its sessions at safe points. With `--wait` the command ends after them. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import type { AdminClient } from '../admin/client.ts'
import { Unanswered } from '../admin/client.ts'
import type { DrainAnswer } from '../admin/drain-routes.ts'
import { readDuration } from '../duration.ts'
import { askRunning, formatJson, type Terminal } from './ask-running.ts'
import type { CommandParts } from './command-parts.ts'

export type DrainOptions = { config: string; self?: true; wait?: true; acceptFor?: string; json?: true }

const NAME = 'mailmux drain'
/** A load balancer that looks every two seconds and needs two failures has seen it then. */
const DEFAULT_ACCEPT = '5s'
/** Between two questions how far it has come. */
const EVERY_MS = 500
/** What the workers need to close beside the grace of their sessions. */
const SLACK_MS = 15_000

export function addDrainCommand(
  program: Command,
  { configOption, terminal, exitAsUsage, exitWith }: CommandParts,
): void {
  program
    .command('drain')
    .exitOverride(exitAsUsage)
    .description(
      'let the running mailmux take no more clients and end its sessions at safe points, before it is stopped',
    )
    .addOption(configOption())
    .option('--self', 'drain this instance, which is the only one that the command can drain')
    .option('--wait', 'end when no session is left, or after limits.shutdown_grace')
    .option(
      '--accept-for <duration>',
      'from the failing health check until the ports close, for load balancers to see it',
      DEFAULT_ACCEPT,
    )
    .option('--json', 'the same facts for machines, as docs/admin-api.md describes them')
    .addHelpText(
      'after',
      '\nIt needs the admin socket, or a token with the right operate. /readyz fails at once. The process goes on until it is stopped, and cannot serve again.\nExit codes: 0 the drain is ordered, with --wait done; 1 mailmux refuses, or sessions are left; 2 wrong usage or no answer, 69 no mailmux is running.\nExample, as preStop of Kubernetes: mailmux drain --self --wait',
    )
    .action(async (options: DrainOptions) => exitWith(await drain(options, terminal)))
}

/** @returns the exit code */
export async function drain(
  { config, self, wait, acceptFor = DEFAULT_ACCEPT, json }: DrainOptions,
  terminal: Terminal,
  everyMs = EVERY_MS,
): Promise<number> {
  const acceptMs = readDuration(acceptFor)
  if (acceptMs === undefined) {
    terminal.printError(`${NAME}: --accept-for: a duration such as 5s or 0s`)
    return 2
  }
  if (!self) {
    terminal.printError(`${NAME}: say --self: it drains the instance whose admin.listen the configuration names`)
    return 2
  }
  return askRunning(NAME, config, terminal, async (client) => {
    const ordered = await client.drain(acceptMs)
    const last = wait ? await waitUntilDrained(client, ordered, everyMs) : ordered
    for (const line of json ? formatJson(last) : [formatDrain(last)]) terminal.out(line)
    return wait && last.state !== 'drained' ? 1 : 0
  })
}

async function waitUntilDrained(client: AdminClient, ordered: DrainAnswer, everyMs: number): Promise<DrainAnswer> {
  const endMs = performance.now() + ordered.withinMs + SLACK_MS
  let last = ordered
  while (last.state !== 'drained' && performance.now() < endMs) {
    await sleep(everyMs)
    try {
      last = await client.drainStatus()
    } catch (error) {
      // It was stopped meanwhile, and stops after its sessions.
      if (error instanceof Unanswered && error.isGone) return { ...last, state: 'drained', sessions: 0 }
      throw error
    }
  }
  return last
}

function formatDrain({ state, sessions, withinMs }: DrainAnswer): string {
  if (state === 'drained') return 'drained: no session is left'
  const count = sessions === 1 ? '1 session ends' : `${sessions} sessions end`
  return `draining: ${count} within ${Math.ceil(withinMs / 1000)} s`
}
