/**
 * A steady load for half an hour, and whether mailmux stays as it is under it: `node test/soak/steady.ts`, for a shorter time with
 * SOAK_SECONDS. Leaves its account in docs/soak/steady.md with plots, and fails where memory or handles grow, or the event loop is late.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { setPriority } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pass } from 'node:timers/promises'
import { alignTable } from '../bench/render.ts'
import { until } from '../support/deadline.ts'
import { drawPlot } from '../support/plot.ts'
import { createRandom } from '../support/random.ts'
import { openScene, type Scene } from '../support/scene.ts'
import type { Trend } from '../support/trend.ts'
import { describeHere } from './here.ts'
import { type Load, MOVES_PER_SECOND, startLoad } from './steady-load.ts'
import { judge, MOST_DELAY_MS, type Sample, sumSeries, takeSample, type Verdict } from './steady-samples.ts'
import { startSteadySite, type SteadySite } from './steady-site.ts'
import { KINDS } from './steady-visits.ts'

const FOLDER = join(import.meta.dirname, '../../docs/soak')
const SECONDS = Number(process.env.SOAK_SECONDS ?? 1800)
/** Code is compiled, caches and buffers find their size. */
const WARM_SECONDS = SECONDS / 4
/** Who comes to stay: by the end of the warm-up as many leave as come. */
const STAY_SECONDS = Math.min(60, SECONDS / 6)
const SAMPLE_SECONDS = 5
/** How many samples from one collection of garbage to the next: a short run needs all that it can get. */
const COLLECT_EVERY = SECONDS < 600 ? 1 : 3

/** When nobody is there any more, as many handles as before anybody came. */
async function countWhenQuiet(site: SteadySite, most: number): Promise<number> {
  let handles = 0
  const look = async () => {
    if (sumSeries(await site.metrics(), 'mailmux_sessions') > 0) return undefined
    handles = await site.handles()
    return handles <= most || undefined
  }
  await until(15_000, look, () => '').catch(() => undefined) // the account says how many are left
  return handles
}

async function soak(scene: Scene) {
  const site = await startSteadySite(scene)
  const handlesBefore = await countWhenQuiet(site, await site.handles())
  setPriority(10) // the clients' machine would be another one: where both want a processor, mailmux has it
  const load = startLoad(site, STAY_SECONDS * 1000, createRandom(1))
  const samples: Sample[] = []
  const startedAt = performance.now()
  await site.metrics() // empties the histogram of delays: the start is none of the load's
  for (let number = 1; number * SAMPLE_SECONDS <= SECONDS; number++) {
    await pass(Math.max(0, startedAt + number * SAMPLE_SECONDS * 1000 - performance.now()))
    const sample = await takeSample(site, startedAt, number % COLLECT_EVERY === 0)
    samples.push(sample)
    const { seconds, residentMiB, livingMiB, outsideMiB, handles, sessions, delayMs } = sample
    const facts = [residentMiB, livingMiB ?? NaN, outsideMiB ?? NaN, handles, sessions, delayMs].map((fact) =>
      fact.toFixed(2),
    )
    process.stdout.write(`steady: ${seconds.toFixed(0)} s  ${facts.join('  ')}\n`)
  }
  await load.end()
  return { load, samples, handlesBefore, handlesAfter: await countWhenQuiet(site, handlesBefore) }
}

const show = (value: number): string => value.toFixed(Math.abs(value) < 10 ? 2 : Math.abs(value) < 100 ? 1 : 0)
const showTrend = ({ slope, error }: Trend): string => `${show(slope)} ± ${show(2 * error)}`

/** One column for each quarter of the run; the first is the warm-up. */
function renderQuarters(samples: readonly Sample[]): string {
  const quarters = [0, 1, 2, 3].map((quarter) =>
    samples.filter(({ seconds }) => Math.min(3, Math.floor((4 * seconds) / SECONDS)) === quarter),
  )
  const row = (what: string, of: (quarter: readonly Sample[]) => number) => [
    what,
    ...quarters.map((quarter) => show(of(quarter))),
  ]
  const mean = (of: (sample: Sample) => number | undefined) => (quarter: readonly Sample[]) => {
    const values = quarter.map(of).filter((value) => value !== undefined)
    return values.reduce((sum, value) => sum + value, 0) / values.length
  }
  const pace = (of: (sample: Sample) => number) => (quarter: readonly Sample[]) => {
    const [first, last] = [quarter[0]!, quarter.at(-1)!]
    return (of(last) - of(first)) / (last.seconds - first.seconds)
  }
  const rows = [
    ['', 'warm-up', 'second quarter', 'third', 'fourth'],
    row(
      'sessions a second',
      pace(({ served }) => served),
    ),
    row(
      'sessions at once',
      mean(({ sessions }) => sessions),
    ),
    row('CPU, % of a core', (quarter) => 100 * pace(({ cpuSeconds }) => cpuSeconds)(quarter)),
    row(
      'living heap, MiB',
      mean(({ livingMiB }) => livingMiB),
    ),
    row(
      'living outside of the heap, MiB',
      mean(({ outsideMiB }) => outsideMiB),
    ),
    row(
      'heap with its garbage, MiB',
      mean(({ heapMiB }) => heapMiB),
    ),
    row(
      'resident memory, MiB',
      mean(({ residentMiB }) => residentMiB),
    ),
    row(
      'handles',
      mean(({ handles }) => handles),
    ),
    row('event-loop delay p99, worst, ms', (quarter) => Math.max(...quarter.map(({ delayMs }) => delayMs))),
    row('ready to run without a processor, % of the time', (quarter) => pace(({ waitedMs }) => waitedMs / 10)(quarter)),
  ]
  return alignTable(rows).join('\n')
}

type Course = Awaited<ReturnType<typeof soak>>

function renderAccount({ load, samples, handlesBefore, handlesAfter }: Course, verdict: Verdict, faults: string[]) {
  const { heap, outside, mostGrowthMiB, resident, handles, worstDelayMs, sessionsPerSecond, cpu } = verdict
  const thousands = sessionsPerSecond / 1000
  const perThousand = (trend: Trend): Trend => ({ slope: trend.slope / thousands, error: trend.error / thousands })
  const facts = [
    ['after the warm-up', 'figure', 'may be'],
    ['growth of the living heap, MiB/h for 1,000 sessions a second', showTrend(perThousand(heap)), '1'],
    ['the same, MiB/h', showTrend(heap), show(mostGrowthMiB)],
    ['growth of what lives outside of the heap, MiB/h', showTrend(outside), show(mostGrowthMiB)],
    ['growth of resident memory, MiB/h', showTrend(resident), ''],
    ['growth of handles in an hour', showTrend(handles), '0'],
    ['handles before the first client, after the last', `${handlesBefore}, ${handlesAfter}`, 'the same'],
    ['event-loop delay p99, the worst of all samples, ms', show(worstDelayMs), `${MOST_DELAY_MS}`],
    ['sessions a second', show(sessionsPerSecond), ''],
    ['CPU of mailmux, % of a core', show(100 * cpu), ''],
    ['visits that went wrong', String(countWrong(load)), '0'],
    ['visits that could not be begun in time', String(load.leftOut()), ''],
  ]
  const kinds = KINDS.map(({ name, perSecond }) => [name, show(perSecond), String(load.begun.get(name) ?? 0)])
  return `# A steady load

${SECONDS} s of everything that clients do, at a pace that leaves mailmux and the machine time: does it stay as it is? Written by
\`node test/soak/steady.ts\`; [test/soak/README.md](../../test/soak/README.md) says how it is measured.

${at.toISOString()}, ${here}: **${faults.length === 0 ? 'steady' : faults.join('; ')}**.

![Memory and the delay of the event loop over time](steady.svg)

![Handles and sessions over time](steady-handles.svg)

${alignTable(facts).join('\n')}

Living is what a collection of all garbage has left. ± is twice the standard error: what rises by less than that, or by no more than it may, is steady.

${renderQuarters(samples)}

${alignTable([['who comes', 'a second', 'in all'], ...kinds]).join('\n')}

IDLE and silence last ${Math.round(STAY_SECONDS)} s. Beside them the routes of ${MOVES_PER_SECOND} users a second change in Redis.
${[...load.problems]
  .slice(0, 20)
  .map(([problem, times]) => `\n    ${times} times ${problem.replaceAll('\n', '\n    ')}\n`)
  .join('')}`
}

async function drawPlots(samples: readonly Sample[]): Promise<void> {
  const points = (of: (sample: Sample) => number | undefined): [number, number][] =>
    samples.flatMap((sample) => {
      const value = of(sample)
      return value === undefined ? [] : [[sample.seconds / 60, value]]
    })
  const memory = drawPlot({
    title: 'mailmux under a steady load: memory and delay',
    x: 'minutes',
    y: 'MiB, and ms',
    lines: [
      { name: 'resident memory, MiB', points: points(({ residentMiB }) => residentMiB) },
      { name: 'living heap, MiB', points: points(({ livingMiB }) => livingMiB) },
      { name: 'delay p99, ms', points: points(({ delayMs }) => delayMs) },
    ],
  })
  const handles = drawPlot({
    title: 'mailmux under a steady load: handles',
    x: 'minutes',
    y: 'at once',
    lines: [
      { name: 'handles', points: points((sample) => sample.handles) },
      { name: 'sessions', points: points(({ sessions }) => sessions) },
    ],
  })
  await mkdir(FOLDER, { recursive: true })
  await writeFile(join(FOLDER, 'steady.svg'), memory)
  await writeFile(join(FOLDER, 'steady-handles.svg'), handles)
}

function countWrong({ problems }: Load): number {
  return [...problems.values()].reduce((sum, times) => sum + times, 0)
}

function findFaults({ load, handlesBefore, handlesAfter }: Course, verdict: Verdict): string[] {
  const faults = [...verdict.faults]
  if (handlesAfter > handlesBefore)
    faults.push(`${handlesAfter - handlesBefore} handles are left when everybody has gone`)
  if (load.problems.size > 0) faults.push(`${countWrong(load)} visits went wrong`)
  return faults
}

const at = new Date()
const here = describeHere()
const scene = openScene()
try {
  const course = await soak(scene)
  const verdict = judge(course.samples, WARM_SECONDS)
  const faults = findFaults(course, verdict)
  const account = renderAccount(course, verdict, faults)
  process.stdout.write(`${account}\n`)
  await drawPlots(course.samples)
  await writeFile(join(FOLDER, 'steady.md'), account)
  if (faults.length > 0) process.exitCode = 1
} finally {
  await scene.close()
}
process.exit() // a visitor that hangs keeps nobody waiting
