/** `mailmux trace`: shows what clients, mailmux and back ends say to each other, until its time is over or it is interrupted. */
import { randomBytes } from 'node:crypto'
import { constants, closeSync, openSync, writeSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'
import type { Command } from 'commander'
import type { TraceTold } from '../admin/trace-routes.ts'
import { sleep, systemAlarm } from '../clock.ts'
import { systemCode } from '../errors.ts'
import { printable } from '../printable.ts'
import { askRunning, type Terminal } from './ask-running.ts'
import type { CommandParts } from './command-parts.ts'

type Options = {
  config: string
  user?: string
  client?: string
  session?: string
  for: string
  save?: string
  json?: true
}

/** Ends the trace in order. */
export type TraceParts = { interrupted: () => AbortSignal }

/** Short enough for a conversation to be followed, and a small load for a site of many instances. */
const ASK_EVERY_MS = 500
/** A file of a busy trace with lines of 400 characters has 40 MB then. */
const MAX_LINES = 100_000

const LEGS: Record<TraceTold['lines'][number]['leg'], string> = {
  'from-client': 'client  ->',
  'to-client': 'client  <-',
  'to-backend': 'backend <-',
  'from-backend': 'backend ->',
  note: '        --',
}

export function addTraceCommand(program: Command, parts: CommandParts & TraceParts): void {
  const { configOption, terminal, exitAsUsage, exitWith, interrupted } = parts
  program
    .command('trace')
    .description(
      'show the conversation of sessions on both legs, on whichever instance they are; no credential and no message is shown',
    )
    .exitOverride(exitAsUsage)
    .addOption(configOption())
    .option('--user <user>', 'the name by which a login is routed')
    .option('--client <address>', 'an address or a network of clients')
    .option('--session <id>', 'its id, as in the log and in `mailmux sessions`')
    .option('--for <duration>', 'how long, up to 1h', '5m')
    .option('--save <file>', 'write the lines to a new file too, which only its owner may read')
    .option('--json', 'one line of JSON for each line of the trace')
    .addHelpText(
      'after',
      '\nNeeds the admin socket, or a token with the right operate, as it shows what users do. At least one of --user, --client and --session; all that are given must match.\n' +
        'Exit codes: 0 ended by its time or by Ctrl-C, 1 refused, 2 wrong usage or no answer, 69 no mailmux is running.\nExample: mailmux trace --user alice@example.test --for 5m --save alice.txt',
    )
    .action(async (options: Options, command: Command) => {
      const { user, client, session } = options
      if (user === undefined && client === undefined && session === undefined)
        command.error('error: say which sessions: --user, --client or --session')
      exitWith(await trace(options, terminal, interrupted()))
    })
}

/** @returns the exit code: 0, 1 if it is refused, 2 if there is no answer or no file */
export async function trace(options: Options, terminal: Terminal, stopped: AbortSignal): Promise<number> {
  const { config, save, json, user, client, session, for: period } = options
  let file: number | undefined
  try {
    // A new file: a link that another user has put in its place is not followed, and old rights are not kept.
    if (save !== undefined)
      file = openSync(save, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW, 0o600)
  } catch (error) {
    const why = systemCode(error) === 'EEXIST' ? 'exists already' : `cannot be written: ${systemCode(error)}`
    terminal.printError(printable(`mailmux trace: ${save} ${why}`))
    return 2
  }
  const by = `${userInfo().username}@${hostname()}`.replace(/[^\w.@-]/g, '-').slice(0, 100)
  const order = {
    id: randomBytes(8).toString('hex'),
    ...(user !== undefined && { user }),
    ...(client !== undefined && { client }),
    ...(session !== undefined && { session }),
    for: period,
    by,
  }
  const say = (text: string): void => {
    terminal.out(text)
    if (file !== undefined) writeSync(file, `${text}\n`)
  }
  let count = 0
  let dropped = 0
  const show = (told: TraceTold, warned: Set<string>): void => {
    for (const line of told.lines) say(json ? JSON.stringify(line) : formatLine(line))
    count += told.lines.length
    dropped += told.dropped
    if (told.dropped > 0 && !json) say(`        -- ${told.dropped} lines dropped: over the limit of a trace`)
    for (const problem of problemsOf(told)) {
      if (!warned.has(problem)) terminal.printError(printable(`mailmux trace: ${problem}`))
      warned.add(problem)
    }
  }
  try {
    return await askRunning('mailmux trace', config, terminal, async (asked) => {
      const warned = new Set<string>()
      let begun = false // A login before that is not shown, so the operator waits for the line.
      for (;;) {
        const told = await asked.trace(order)
        show(told, warned)
        if (told.refused && count === 0) return 1
        if (!begun) terminal.printError(printable(`mailmux trace: in force for ${period}; Ctrl-C ends it earlier`))
        begun = true
        if (told.leftMs === 0 || count >= MAX_LINES) break
        await sleep(systemAlarm, ASK_EVERY_MS, stopped)
        if (stopped.aborted) break
      }
      show(await asked.trace({ ...order, end: true }), warned)
      const none = count === 0 ? ': no session that matches said anything in this time' : ''
      terminal.printError(`mailmux trace: ${count} lines shown${dropped > 0 ? `, ${dropped} dropped` : none}`)
      return 0
    })
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/** Exported for its test. */
export function formatLine({ atMs, session, leg, text, instance }: TraceTold['lines'][number]): string {
  const at = new Date(atMs).toISOString().slice(11, 23)
  const where = instance === undefined ? '' : ` ${instance}`
  return printable(`${at}${where} ${session} ${LEGS[leg]} ${text}`)
}

function problemsOf({ refused, incomplete, silent, lost, why }: TraceTold): string[] {
  return [
    ...(refused ? ['refused: there are as many traces as there may be'] : []),
    ...(incomplete ? [`worker ${incomplete.join(', ')} does not answer, and its sessions are missing`] : []),
    ...(silent ? [`${silent.join(', ')} does not answer, and its sessions are missing`] : []),
    ...(lost ? [`${lost.join(', ')} has no heartbeat, and its sessions are missing`] : []),
    ...(why === undefined || why === 'the directory is not Redis' ? [] : [`other instances may be missing: ${why}`]),
  ]
}
