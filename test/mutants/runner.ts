/**
 * Runs tests for Stryker, which loads this file as a plugin. All test files that reach a mutant run in one process, which ends at the first
 * failure: a process for each file, as Stryker's own runner for TAP has it, takes longer for each mutant that survives several files.
 *
 * A mutant that never ends counts as noticed. The process itself shows it, so that a busy machine does not raise the score: a loop takes far
 * more processor time than the tests without a mutant, a lost wake-up leaves the process asleep.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

type Coverage = Record<string, number>
type Outcome = {
  status: 'passed' | 'failed' | 'hung' | 'broken'
  detail: string
  file?: string | undefined
  coverage: Coverage
  ms: number
}
/** The parts of Stryker's options that are used here. */
type MutantRun = { activeMutant: { id: string }; testFilter?: readonly string[]; hitLimit?: number }

const ENTRY = join(import.meta.dirname, 'run-files.ts')
const LOOK_MS = 250
/** Tests wait for no clock for so long: they have none, or a false one. */
const ASLEEP_MS = 6_000
/** The tests of the slowest module take 8 s of processor time. */
const CPU_SECONDS = 60
/** The unit of the times in /proc/PID/stat, USER_HZ, is a hundredth of a second on all Linux platforms that Node supports. */
const TICKS = 100

const running = new Set<ChildProcess>()

async function runFiles(files: readonly string[], environment: Record<string, string>): Promise<Outcome> {
  const began = performance.now()
  const child = spawn(process.execPath, [ENTRY, ...files], {
    env: { ...process.env, ...environment },
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  running.add(child)
  let said: { failed?: string; file?: string | undefined; hitLimit?: boolean; coverage?: Coverage } = {}
  let errors = ''
  let hung = ''
  child.stderr?.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-2000)))
  child.on('message', (message) => (said = { ...said, ...(message as typeof said) }))
  const watch = watchProgress(child, (why) => {
    hung = why
    child.kill('SIGKILL')
  })
  const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
  clearInterval(watch)
  running.delete(child)
  const rest = { file: said.file, coverage: said.coverage ?? {}, ms: performance.now() - began }
  if (said.hitLimit === true)
    return { status: 'hung', detail: 'a loop ran more than a hundred times as often', ...rest }
  if (said.failed !== undefined) return { status: 'failed', detail: said.failed, ...rest }
  if (hung !== '') return { status: 'hung', detail: hung, ...rest }
  if (code !== 0) return { status: 'broken', detail: `exit ${String(code)}: ${errors}`, ...rest }
  return { status: 'passed', detail: '', ...rest }
}

function watchProgress(child: ChildProcess, stop: (why: string) => void): NodeJS.Timeout {
  let [before, asleep] = [0, 0]
  return setInterval(() => {
    const { ticks, sleeps } = readProgress(child.pid)
    // A process that wants the processor and does not get it is not asleep (state R). Timers of Node itself take a tick now and then.
    asleep = sleeps && ticks - before <= 1 ? asleep + LOOK_MS : 0
    before = ticks
    if (asleep >= ASLEEP_MS) stop('asleep')
    else if (ticks > CPU_SECONDS * TICKS) stop('endless loop')
  }, LOOK_MS)
}

/** proc_pid_stat(5): the state is the first field after the name in brackets, utime and stime are the 12th and 13th after it */
function readProgress(pid: number | undefined): { ticks: number; sleeps: boolean } {
  try {
    const line = readFileSync(`/proc/${String(pid)}/stat`, 'utf8')
    const fields = line.slice(line.lastIndexOf(')') + 2).split(' ')
    return { ticks: Number(fields[11]) + Number(fields[12]), sleeps: fields[0] === 'S' }
  } catch {
    return { ticks: 0, sleeps: false }
  }
}

class Runner {
  #files: readonly string[]
  /** How long each file took without a mutant. */
  readonly #times = new Map<string, number>()

  constructor({ mailmux }: { mailmux: { testFiles: readonly string[] } }) {
    this.#files = mailmux.testFiles
  }

  capabilities(): object {
    return { reloadEnvironment: true }
  }

  /** One process for each file shows what the file reaches. */
  async dryRun(): Promise<object> {
    const tests: object[] = []
    const perTest: Record<string, Coverage> = {}
    for (const file of this.#files) {
      const { status, detail, coverage, ms } = await runFiles([file], { STRYKER_DRY_RUN: 'yes' })
      if (status !== 'passed') return { status: 'error', errorMessage: `${file}: ${status}: ${detail}` }
      perTest[file] = coverage
      this.#times.set(file, ms)
      tests.push({ id: file, name: file, fileName: file, timeSpentMs: Math.round(ms), status: 0 })
    }
    return { status: 'complete', tests, mutantCoverage: { static: {}, perTest } }
  }

  async mutantRun({ activeMutant, testFilter = this.#files, hitLimit }: MutantRun): Promise<object> {
    // The files that take least come first: most mutants need no other.
    const files = testFilter.toSorted((a, b) => (this.#times.get(a) ?? 0) - (this.#times.get(b) ?? 0))
    const limit = hitLimit === undefined ? undefined : { STRYKER_HIT_LIMIT: String(hitLimit) }
    const { status, detail, file } = await runFiles(files, { __STRYKER_ACTIVE_MUTANT__: activeMutant.id, ...limit })
    if (status === 'failed') {
      // The incremental report keeps the kill for as long as this file does not change.
      const killedBy = files.filter((path) => file?.endsWith(`/${path}`))
      return { status: 'killed', killedBy, failureMessage: detail, nrOfTests: files.length }
    }
    if (status === 'hung') return { status: 'timeout', reason: detail }
    if (status === 'broken') return { status: 'error', errorMessage: detail }
    return { status: 'survived', nrOfTests: files.length }
  }

  dispose(): void {
    // A process in an endless loop does not look at SIGTERM.
    for (const child of running) child.kill('SIGKILL')
  }
}

/** Stryker gives `inject` to its own kind of dependency injection: the constructor is called with the options. */
class InjectedRunner extends Runner {
  static inject = ['options']
}

/** Stryker asks for a schema of the options that a plugin reads. */
export const strykerValidationSchema = { properties: { mailmux: { type: 'object' } } }

export const strykerPlugins = [{ kind: 'TestRunner', name: 'mailmux', injectableClass: InjectedRunner }]
