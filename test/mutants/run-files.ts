/** The process of `runner.ts`: runs the test files of its arguments one after the other, and ends at the first failure. */
import { run } from 'node:test'

/** What the sources that Stryker has changed read and write: `stryNS` of the instrumenter. */
type Stryker = { hitLimit?: number; hitCount?: number; mutantCoverage?: { static?: Record<string, number> } }

const stryker: Stryker = {}
Object.assign(globalThis, { __stryker__: stryker })
if (process.env.STRYKER_HIT_LIMIT !== undefined) {
  stryker.hitLimit = Number(process.env.STRYKER_HIT_LIMIT)
  stryker.hitCount = 0
}

function report(): object {
  const hitLimit = stryker.hitLimit !== undefined && (stryker.hitCount ?? 0) > stryker.hitLimit
  return { hitLimit, ...(process.env.STRYKER_DRY_RUN === 'yes' ? { coverage: stryker.mutantCoverage?.static } : {}) }
}

function end(code: number, extra: object = {}): void {
  process.send?.({ ...report(), ...extra }, () => process.exit(code))
}

const events = run({ files: process.argv.slice(2), isolation: 'none', concurrency: false })
events.on('test:fail', ({ name, file, details }) => end(1, { failed: `${name}: ${details.error.message}`, file }))
events.on('end', () => {
  // A handle that the mutant left open keeps the process, as it would keep `make test`: the runner sees it asleep.
  process.send?.(report())
  process.disconnect?.()
})
events.resume()
