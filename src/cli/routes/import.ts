/** `mailmux route import`: checks the whole file, then writes its routes to Redis. */
import { createWriteStream, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { pipeline } from 'node:stream/promises'
import { systemCode } from '../../errors.ts'
import { openBulk } from '../../directory/redis/bulk.ts'
import { printable } from '../../printable.ts'
import type { FormatName, WrongLine } from '../../routes/formats/format.ts'
import { guessFormat } from '../../routes/formats/guess.ts'
import { readBlocks } from '../../routes/formats/lines.ts'
import { checkFile } from '../../routes/import/check.ts'
import { createRouteWriter, type Written } from '../../routes/import/write.ts'
import { describeLoss, readMarkerSign } from '../../routes/marker.ts'
import { formatJson, type Terminal } from '../ask-running.ts'
import type { RedisSite } from '../redis-site.ts'
import { formatCount, openProgress } from './progress.ts'
import { TEMPORARY, withRoutes } from './site.ts'

export type ImportOptions = {
  config: string
  format?: FormatName
  skipBad?: true
  dryRun?: true
  fillLost?: true
  json?: true
}

export type ImportTerminal = Terminal & {
  /** aborted when the operator interrupts the command */
  stop: AbortSignal
  /** what `-` stands for */
  stdin: () => NodeJS.ReadableStream
  showProgress: ((line: string) => void) | undefined
}

const NAME = 'mailmux route import'
/** Mistakes that are printed; the others are counted. */
const MOST_PRINTED = 100
/** Redis is asked again this often whether it has lost its data. */
const MARKER_EVERY_MS = 1000

/** Ends the import, in words for the operator. */
class Ended extends Error {
  readonly code: number

  constructor(message: string, code: number) {
    super(message)
    this.code = code
  }
}

/**
 * @returns the exit code: 0 the routes are in Redis, 1 the file has mistakes or Redis has refused some routes, 2 wrong usage, file or
 * configuration, 75 interrupted, users are being moved, or Redis does not answer: the same command goes on
 */
export async function importRoutes(file: string, options: ImportOptions, terminal: ImportTerminal): Promise<number> {
  let spooled: string | undefined
  const fail = (line: string): void => terminal.printError(printable(`${NAME}: ${line}`))
  try {
    if (file === '-') {
      spooled = path.join(mkdtempSync(path.join(tmpdir(), 'mailmux-import-')), 'routes')
      await spool(terminal.stdin(), spooled, terminal.stop)
    }
    const source = { shown: file === '-' ? 'standard input' : file, path: spooled ?? file }
    // To open a FIFO would wait for its writer, and the second pass would find it empty.
    if (!statSync(source.path).isFile())
      throw new Ended(`${source.shown} is not a regular file; for a pipe give - as the file`, 2)
    const format = options.format ?? (await findFormat(source))
    return await withRoutes(NAME, options.config, terminal, (site) => run(site, source, format, options, terminal))
  } catch (error) {
    if (error instanceof Ended) {
      fail(error.message)
      return error.code
    }
    if (!(error instanceof Error && 'code' in error && 'syscall' in error)) throw error
    fail(`${file}: ${systemCode(error)}`)
    return 2
  } finally {
    if (spooled !== undefined) rmSync(path.dirname(spooled), { recursive: true, force: true })
  }
}

type Source = { shown: string; path: string }

/** Two passes need a file. */
async function spool(input: NodeJS.ReadableStream, file: string, stop: AbortSignal): Promise<void> {
  try {
    await pipeline(input, createWriteStream(file, { mode: 0o600 }), { signal: stop })
  } catch (error) {
    if (stop.aborted) throw new Ended('interrupted; nothing was written', TEMPORARY)
    throw error
  }
}

async function findFormat({ path: file, shown }: Source): Promise<FormatName> {
  for await (const { lines } of readBlocks(file)) {
    const format = guessFormat(shown, lines)
    if (format) return format
    break
  }
  if (statSync(file).size === 0) throw new Ended(`${shown} is empty`, 2)
  throw new Ended(`which format has ${shown}? Say --format csv, jsonl, dovecot or nginx`, 2)
}

async function run(
  { settings, redis, redisSettings }: RedisSite,
  { shown, path: file }: Source,
  format: FormatName,
  { skipBad, dryRun, fillLost, json }: ImportOptions,
  { out, printError, stop, showProgress }: ImportTerminal,
): Promise<number> {
  const { routing } = settings
  const { prefix } = redisSettings
  const before = statSync(file)
  let told = 0
  const tell = ({ line, why }: WrongLine): void => {
    if (++told <= MOST_PRINTED) printError(printable(`${shown}:${line}: ${why}`))
  }

  async function refuseLoss(): Promise<void> {
    const sign = await readMarkerSign(redis, prefix)
    if (sign.kind !== 'lost' || fillLost) return
    throw new Ended(`${describeLoss(sign)}. To write the routes before you accept it: --fill-lost`, 1)
  }
  if (!dryRun) await refuseLoss()

  // The first pass: nothing is written before all of the file is known.
  const checking = openProgress('check', showProgress)
  let [good, wrong, fixed, octets] = [0, 0, 0, 0]
  for await (const checked of checkFile({ file, format, routing, onRead: (read) => (octets = read) })) {
    good += checked.good.length
    wrong += checked.wrong.length
    checked.wrong.forEach(tell)
    if (routing.users.size > 0) fixed += checked.good.filter(({ user }) => routing.users.has(user)).length
    checking.show(octets / before.size, good)
    if (stop.aborted) throw new Ended('interrupted; nothing was written', TEMPORARY)
  }
  checking.end()
  if (told > MOST_PRINTED) printError(`and ${formatCount(told - MOST_PRINTED)} more`)
  const counted = `${countOf(good, 'route')}, ${countOf(wrong, 'mistake')}`
  if (wrong > 0 && !skipBad) {
    printError(printable(`${shown}: ${counted}; nothing was written. --skip-bad leaves the lines with a mistake out`))
    return 1
  }
  if (fixed > 0)
    printError(`${formatCount(fixed)} of the users are in the routing file too, which takes precedence over Redis`)

  const bulk = await openBulk(redisSettings)
  const writing = openProgress(dryRun ? 'compare' : 'write', showProgress)
  const startMs = performance.now()
  let markerMs = startMs
  told = 0
  const writer = createRouteWriter({
    bulk,
    prefix,
    isDry: dryRun === true,
    async beforeBatch() {
      if (dryRun || performance.now() - markerMs < MARKER_EVERY_MS) return
      markerMs = performance.now()
      await refuseLoss()
    },
    tell,
    onWritten: (written) => writing.show(sumOf(written) / good, sumOf(written)),
  })
  try {
    for await (const { good: routes } of checkFile({ file, format, routing })) {
      await writer.write(routes)
      if (stop.aborted) break
    }
    const written = await writer.end()
    writing.end()
    const after = statSync(file)
    if (after.mtimeMs !== before.mtimeMs || after.size !== before.size)
      throw new Ended(`${shown} has changed while it was read: run the command again`, TEMPORARY)
    if (told > MOST_PRINTED) printError(`and ${formatCount(told - MOST_PRINTED)} more`)
    const tookMs = performance.now() - startMs
    if (json) for (const line of formatJson({ ...written, mistakes: wrong, ms: Math.round(tookMs) })) out(line)
    else out(printable(`${shown}: ${formatWritten(written, tookMs, dryRun === true)}`))
    if (stop.aborted) throw new Ended('interrupted: the same command goes on', TEMPORARY)
    if (fillLost && !dryRun) await tellAcceptance()
    return written.failed > 0 ? 1 : written.held > 0 ? TEMPORARY : 0
  } finally {
    writing.end()
    bulk.close()
  }

  async function tellAcceptance(): Promise<void> {
    const sign = await readMarkerSign(redis, prefix)
    if (sign.kind === 'lost')
      (json ? printError : out)(`Redis counts as lost until you accept it as it is now: ${sign.accept}`)
  }
}

const sumOf = ({ added, changed, unchanged, held, failed }: Written): number =>
  added + changed + unchanged + held + failed

/** Exported for its test. */
export function formatWritten(written: Written, tookMs: number, isDry: boolean): string {
  const { added, changed, unchanged, held, failed } = written
  const words = [
    `${formatCount(added)} ${isDry ? 'to be added' : 'added'}`,
    `${formatCount(changed)} ${isDry ? 'to be changed' : 'changed'}`,
    `${formatCount(unchanged)} as they are`,
    ...(held > 0 ? [`${formatCount(held)} of users who are being moved left alone`] : []),
    ...(failed > 0 ? [`${formatCount(failed)} refused by Redis`] : []),
  ]
  const seconds = tookMs / 1000
  const rate = formatCount(Math.round(sumOf(written) / Math.max(seconds, 0.001)))
  return `${words.join(', ')}; in ${seconds.toFixed(1)} s (${rate}/s)`
}

const countOf = (count: number, one: string): string => (count === 1 ? `1 ${one}` : `${formatCount(count)} ${one}s`)
