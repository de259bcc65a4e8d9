/**
 * `node test/fuzz/fuzz.ts TARGET SECONDS [--seed N] [--keep]`: fuzzes one parser for a while, beginning with what is in corpus/TARGET/.
 * A failing input is saved there and printed, and the exit code is 1. With --keep, inputs with outcomes that are new are saved too.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect, parseArgs } from 'node:util'
import { fuzz } from './engine.ts'
import { TARGETS } from './targets.ts'

/** What is kept must stay small enough to be read; longer ones are found again within seconds. */
const MAX_KEPT_BYTES = 2048

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seed: { type: 'string' }, keep: { type: 'boolean', default: false } },
})
const [name = '', seconds = ''] = positionals
const target = TARGETS[name]
const seed = Number(values.seed ?? Math.floor(Math.random() * 2 ** 32))
if (!target || !(Number(seconds) > 0) || !Number.isInteger(seed)) {
  process.stderr.write(`fuzz.ts TARGET SECONDS [--seed N] [--keep]; targets: ${Object.keys(TARGETS).join(' ')}\n`)
  process.exit(2)
}

const directory = join(import.meta.dirname, 'corpus', name)
mkdirSync(directory, { recursive: true })
const files = readdirSync(directory).sort()
const corpus = files.map((file) => readFileSync(join(directory, file)))

function save(kind: string, input: Buffer): string {
  const file = join(directory, `${kind}-${createHash('sha256').update(input).digest('hex').slice(0, 12)}.bin`)
  writeFileSync(file, input)
  return file
}

const before = performance.now()
const { inputs, outcomes, slowestMs, discoveries, failure } = fuzz(target, { corpus, ms: Number(seconds) * 1000, seed })
const took = (performance.now() - before) / 1000
const rate = Math.round(inputs / took)
process.stdout.write(
  `${name}: ${inputs} inputs in ${took.toFixed(1)} s (${rate}/s), ${outcomes} outcomes, ${discoveries.length} of them not in the ` +
    `corpus of ${corpus.length}, slowest ${slowestMs.toFixed(2)} ms, seed ${seed}: ${failure ? 'FAILED' : 'no failure'}\n`,
)
if (values.keep) for (const input of discoveries) if (input.length <= MAX_KEPT_BYTES) save('found', input)
if (failure) {
  const { input, error } = failure
  process.stdout.write(
    `saved as ${save('failure', input)}, ${input.length} bytes:\n${inspect(input.toString('latin1', 0, 4096))}\n`,
  )
  process.stdout.write(`${inspect(error)}\n`)
  process.exitCode = 1
}
