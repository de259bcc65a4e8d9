/** The runs of the copy command: repeated while it says that changes came in between. */
import type { MoveClock } from './step.ts'
import { seconds, StepFailed } from './step.ts'

/** Which run it is: 1, 2 and so on before the hold, `final` under it. */
export type Pass = number | 'final'

export type PassResult = {
  /** `not-run`: the command could not be started */
  end: { code: number } | { signal: string } | 'timeout' | 'not-run'
  /** the end of what it wrote to standard error, as one printable line; may be empty */
  stderr: string
}

/** Runs the command. It ends all of its processes when the signal is aborted, and resolves after that. */
export type RunPass = (
  order: { user: string; from: string; to: string },
  pass: Pass,
  deadlineMs: number,
  signal: AbortSignal,
) => Promise<PassResult>

export type Passes = {
  order: { user: string; from: string; to: string }
  run: RunPass
  passMs: number
  isFinal: boolean
  clock: MoveClock
  note: (detail: string) => void
}

/** As dsync has it: changes came in during the run. */
const AGAIN = 2
/** EX_TEMPFAIL of sysexits(3) */
const TEMPORARY = 75
const MAX_RUNS = 5
/** Before the second run after a temporary failure; doubled for each further one. */
const PAUSE_MS = 1000

/** @throws StepFailed */
export async function runPasses(passes: Passes, signal: AbortSignal): Promise<void> {
  const { order, run, passMs, isFinal, clock, note } = passes
  for (let runs = 1; ; runs++) {
    const pass = isFinal ? 'final' : runs
    const { end, stderr } = await run(order, pass, passMs, signal)
    signal.throwIfAborted()
    const code = typeof end === 'object' && 'code' in end ? end.code : undefined
    if (code === 0) return
    const words = `the command ${describe(end, passMs)} in pass ${pass}${stderr === '' ? '' : `: ${stderr}`}`
    const isTemporary = code === AGAIN || code === TEMPORARY
    if (!isTemporary) throw new StepFailed(words, { isTemporary: end === 'timeout' })
    // A mailbox that changes all the time is no reason not to go on: the hold ends the changes.
    if (runs === MAX_RUNS && !isFinal && code === AGAIN) {
      note(`${words}; the final pass copies the rest`)
      return
    }
    if (runs === MAX_RUNS) throw new StepFailed(`${words}, after ${MAX_RUNS} runs`, { isTemporary })
    note(words)
    if (code === TEMPORARY) await clock.sleep(PAUSE_MS * 2 ** (runs - 1), signal)
  }
}

function describe(end: PassResult['end'], passMs: number): string {
  if (end === 'timeout') return `was not finished within ${seconds(passMs)}`
  if (end === 'not-run') return 'could not be started'
  if ('signal' in end) return `was ended by ${end.signal}`
  if (end.code === AGAIN) return 'asked to be run again (exit 2)'
  if (end.code === TEMPORARY) return 'failed for now (exit 75)'
  return `failed with exit ${end.code}`
}
