/**
 * What a million routes cost: measured part by part, each in under two minutes, and what follows for a hundred million users.
 * Prints tables, keeps the figures in bench-results/scale.json until they are measured again, and with --page fills docs/scale.md.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { openScene } from '../support/scene.ts'
import { describeHere } from './here.ts'
import type { Measured, ScaleFigures } from './scale-figures.ts'
import * as measures from './scale-measures.ts'
import { renderArithmetic, renderPart } from './scale-tables.ts'

const CHECKOUT = join(import.meta.dirname, '../..')
const RESULTS = join(CHECKOUT, 'bench-results')
const KEPT = join(RESULTS, 'scale.json')
const PAGE = join(CHECKOUT, 'docs/scale.md')

const DEFAULT_CACHE_SIZE = 100_000

const PARTS = ['redis', 'memory', 'memoryOfAll', 'lookups', 'changes', 'tracking', 'logins', 'costs'] as const
type Part = (typeof PARTS)[number] & keyof ScaleFigures

const HELP = `node test/soak/scale.ts [options]
  --parts A,B     of ${PARTS.join(', ')} (default all); '' measures nothing, for --page alone
  --routes N      in Redis (default 1000000)
  --page          also puts all that was measured so far into docs/scale.md
`

async function readKept(): Promise<Measured> {
  try {
    return JSON.parse(await readFile(KEPT, 'utf8')) as Measured
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return {}
    throw error
  }
}

/** Measures one part anew. */
async function measure(part: Part, routes: number, measured: Measured): Promise<void> {
  const scene = openScene()
  const about = { at: new Date().toISOString(), machine: describeHere() }
  try {
    switch (part) {
      case 'redis':
        measured.redis = { ...about, figures: await measures.measureRedis(scene, routes) }
        break
      case 'memory':
        measured.memory = { ...about, figures: await measures.measureMemory(scene, routes, DEFAULT_CACHE_SIZE) }
        break
      case 'memoryOfAll':
        measured.memoryOfAll = { ...about, figures: await measures.measureMemory(scene, routes, routes) }
        break
      case 'lookups':
        measured.lookups = { ...about, figures: await measures.measureLookups(scene, routes) }
        break
      case 'changes':
        measured.changes = { ...about, figures: await measures.measureChanges(scene, routes) }
        break
      case 'tracking':
        measured.tracking = { ...about, figures: await measures.measureTracking(scene, routes) }
        break
      case 'logins':
        measured.logins = { ...about, figures: await measures.measureLogins(scene, routes) }
        break
      case 'costs':
        measured.costs = { ...about, figures: await measures.measureCosts(scene) }
        break
    }
  } finally {
    await scene.close()
  }
}

/** Replaces what stands between the marks of each part. */
async function fillPage(measured: Measured): Promise<void> {
  let page = await readFile(PAGE, 'utf8')
  for (const part of [...PARTS, 'arithmetic'] as const) {
    const table = part === 'arithmetic' ? renderArithmetic(measured) : renderPart(part, measured)
    if (table === undefined) continue
    const marks = new RegExp(`(<!-- scale ${part} -->\n)[^]*(<!-- end of scale ${part} -->)`)
    if (!marks.test(page)) throw new Error(`docs/scale.md has no place for ${part}`)
    page = page.replace(marks, `$1\n${table}\n\n$2`)
  }
  await writeFile(PAGE, page)
}

async function main(): Promise<void> {
  const { values: options } = parseArgs({
    options: {
      parts: { type: 'string', default: PARTS.join(',') },
      routes: { type: 'string', default: '1000000' },
      page: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (options.help) {
    process.stdout.write(HELP)
    return
  }
  const routes = Number(options.routes)
  if (!Number.isInteger(routes) || routes < 1000) throw new Error('--routes: a whole number from 1000 on')
  const parts = options.parts
    .split(',')
    .filter(Boolean)
    .map((name) => {
      const part = PARTS.find((one) => one === name)
      if (part === undefined) throw new Error(`there is no ${name}; there are ${PARTS.join(', ')}`)
      return part
    })

  const measured = await readKept()
  await mkdir(RESULTS, { recursive: true })
  for (const part of parts) {
    await measure(part, routes, measured)
    await writeFile(KEPT, `${JSON.stringify(measured, undefined, 2)}\n`)
    process.stdout.write(`\n${renderPart(part, measured) ?? ''}\n`)
  }
  if (parts.length === PARTS.length) process.stdout.write(`\n${renderArithmetic(measured) ?? ''}\n`)
  if (options.page) await fillPage(measured)
}

try {
  await main()
} catch (error) {
  process.stderr.write(`scale: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
  process.exitCode = 1
}
