/** `mailmux trace`: shows what clients, mailmux and back ends say to each other, until its time is over or it is interrupted. */
import { randomBytes } from 'node:crypto'
import { constants, closeSync, openSync, writeSync } from 'node:fs'
import { hostname, userInfo } from 'node:os'
import type { Command } from 'commander'
import { Unanswered, type AdminClient } from '../admin/client.ts'
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
/** With lines of 400 characters it has 40 MB then. */
const MAX_FILE_LINES = 100_000
/** After Ctrl-C, for the answer to the question under way, which has lines, and for the last one. */
const END_MS = 2000
/** An upgrade hands the API over within a second or two, and a service manager restarts a program as fast. */
const MAX_GONE_MS = 30_000
/** Two clocks, and the way of an answer. */
const NEW_TRACE_MS = 5000

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
  const { printError } = terminal
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
  const print = (text: string): void => printError(printable(`mailmux trace: ${text}`))
  let inFile = 0
  const say = (text: string): void => {
    terminal.out(text)
    if (file === undefined || inFile > MAX_FILE_LINES) return
    if (inFile++ < MAX_FILE_LINES) writeSync(file, `${text}\n`)
    else print(`${save} has ${MAX_FILE_LINES} lines, and gets no more; the trace goes on`)
  }
  let count = 0
  let dropped = 0
  const warned = new Set<string>()
  const warn = (problem: string): void => {
    if (!warned.has(problem)) print(problem)
    warned.add(problem)
  }
  const show = (told: TraceTold): void => {
    for (const line of told.lines) say(json ? JSON.stringify(line) : formatLine(line))
    count += told.lines.length
    dropped += told.dropped
    if (told.dropped > 0 && !json) say(`        -- ${told.dropped} lines dropped: over the limit of a trace`)
    problemsOf(told).forEach(warn)
  }
  const pending = new AbortController()
  stopped.addEventListener('abort', () => systemAlarm.after(END_MS, () => pending.abort()), { once: true })

  async function follow(asked: AdminClient): Promise<number> {
    let endMs: number | undefined
    let goneMs: number | undefined
    for (;;) {
      let told: TraceTold | undefined
      try {
        told = await asked.trace(order, pending.signal)
      } catch (error) {
        if (pending.signal.aborted) break
        // Before the first answer there is no trace that could go on.
        if (endMs === undefined || !(error instanceof Unanswered) || !error.isTemporary) throw error
        if (goneMs === undefined) print(`${error.message}; the trace goes on when it answers again`)
        goneMs ??= performance.now()
        if (performance.now() - goneMs > MAX_GONE_MS) throw error
      }
      if (told) {
        show(told)
        if (told.refused && count === 0) return 1
        const leftMs = told.leftMs
        // A login before that is not shown, so the operator waits for the line.
        if (endMs === undefined) print(`in force for ${period}; Ctrl-C ends it earlier`)
        else if (leftMs > endMs - performance.now() + NEW_TRACE_MS)
          warn('another process of mailmux answers now; what was said in between is missing')
        else if (goneMs !== undefined) print('mailmux answers again; what was said in between may be missing')
        endMs ??= performance.now() + leftMs
        goneMs = undefined
        if (leftMs === 0) break
      }
      if (endMs !== undefined && performance.now() >= endMs) break
      await sleep(systemAlarm, ASK_EVERY_MS, stopped)
      if (stopped.aborted) break
    }
    try {
      show(await asked.trace({ ...order, end: true }, AbortSignal.timeout(END_MS)))
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error
      print(`${error.message}: the last lines may be missing, and the trace ends by itself`)
    }
    const none = count === 0 ? ': no session that matches said anything in this time' : ''
    print(`${count} lines shown${dropped > 0 ? `, ${dropped} dropped` : none}`)
    return 0
  }

  try {
    return await askRunning('mailmux trace', config, terminal, follow)
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
