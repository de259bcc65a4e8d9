/** `mailmux top`: reads the metrics every two seconds, and shows what has changed. */
import type { Command } from 'commander'
import type { AdminClient } from '../../admin/client.ts'
import { Unanswered } from '../../admin/client.ts'
import { sleep, systemAlarm } from '../../clock.ts'
import { askRunning, formatJson, type Terminal } from '../ask-running.ts'
import type { CommandParts } from '../command-parts.ts'
import { buildFrame, type TopFrame } from './frame.ts'
import { parseSamples, type Samples } from './samples.ts'
import { openScreen, type Keys, type Output } from './screen.ts'
import { FIRST_VIEW, pressKey, renderFrame, renderView } from './view.ts'

/** With many sessions the metrics of a worker take a millisecond or two. */
const READ_EVERY_MS = 2000
/** What one frame for a program is measured over. */
const ONCE_MS = 1000

type Options = { config: string; once?: true; json?: true }

type Streams = { keys: Keys; output: Output }

export type TopParts = { screen: () => Streams; interrupted: () => AbortSignal }

export function addTopCommand(program: Command, parts: CommandParts & TopParts): void {
  const { configOption, terminal, exitAsUsage, exitWith, screen, interrupted } = parts
  program
    .command('top')
    .description('show logins, bytes, back ends and refusals of this instance as they change')
    .exitOverride(exitAsUsage)
    .addOption(configOption())
    .option('--once', 'print one frame, which is measured over a second, and end')
    .option('--json', 'the same facts for machines, once')
    .addHelpText(
      'after',
      '\nKeys: s sorts by the next column, / filters, space stops and goes on, ? shows the help, q quits. Without a terminal it is --once.\n' +
        'Exit codes: 0 ended by q or Ctrl-C, or printed, 2 wrong usage or no answer, 69 no mailmux is running.\nExample: mailmux top',
    )
    .action(async (options: Options) => {
      const streams = options.once || options.json ? undefined : screen()
      const isLive = streams?.keys.isTTY === true && streams.output.isTTY === true
      exitWith(await (isLive ? watch(options, terminal, streams, interrupted()) : printOnce(options, terminal)))
    })
}

type Reading = { samples: Samples; atMs: number }

async function read(client: AdminClient, signal?: AbortSignal): Promise<Reading> {
  const samples = parseSamples(await client.metrics(signal))
  return { samples, atMs: performance.now() }
}

function compare(before: Reading | undefined, after: Reading): TopFrame {
  return buildFrame(before?.samples, after.samples, before ? (after.atMs - before.atMs) / 1000 : 0)
}

function printOnce({ config, json }: Options, terminal: Terminal): Promise<number> {
  return askRunning('mailmux top', config, terminal, async (client) => {
    const before = await read(client)
    await sleep(systemAlarm, ONCE_MS)
    const frame = compare(before, await read(client))
    for (const line of json ? formatJson(frame) : renderFrame(frame, FIRST_VIEW)) terminal.out(line)
    return 0
  })
}

/** @returns the exit code: 0, 2 if there is no answer at the start. Later the last frame stays, with the reason. */
async function watch(
  { config }: Options,
  terminal: Terminal,
  { keys, output }: Streams,
  stopped: AbortSignal,
): Promise<number> {
  return askRunning('mailmux top', config, terminal, async (client) => {
    let before: Reading | undefined
    let last: Reading
    try {
      last = await read(client, stopped)
    } catch (error) {
      if (stopped.aborted) return 0
      throw error
    }
    let frame: TopFrame | undefined
    let view = FIRST_VIEW
    const ending = new AbortController()
    const end = (): void => ending.abort()
    const isEnding = (): boolean => ending.signal.aborted
    stopped.addEventListener('abort', end)
    const paint = (): void => screen.paint(renderView(frame, view, `mailmux top  ${config}`, screen.size()))
    const screen = openScreen(
      keys,
      output,
      (key) => {
        const next = pressKey(view, key)
        if (next === 'quit') return end()
        view = next
        paint()
      },
      () => paint(),
    )
    try {
      for (;;) {
        if (!view.isPaused) frame = compare(before, last)
        paint()
        await sleep(systemAlarm, READ_EVERY_MS, ending.signal)
        if (isEnding()) return 0
        try {
          const next = await read(client, ending.signal)
          before = last
          last = next
          view = { ...view, error: undefined }
        } catch (error) {
          if (isEnding()) return 0
          if (!(error instanceof Unanswered)) throw error
          view = { ...view, error: error.message }
        }
      }
    } finally {
      stopped.removeEventListener('abort', end)
      screen.close()
    }
  })
}
