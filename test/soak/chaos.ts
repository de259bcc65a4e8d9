/**
 * The chaos property for half an hour: `node test/soak/chaos.ts`, for a shorter time with SOAK_SECONDS, again with CHAOS_SEED.
 * Leaves its account in docs/soak/chaos.md, and fails where the property does.
 */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { alignTable } from '../bench/render.ts'
import { type ChaosReport, describeReport, runChaos } from '../support/chaos.ts'
import { describeHere } from './here.ts'

const FOLDER = join(import.meta.dirname, '../../docs/soak')

const options = {
  seed: Number(process.env.CHAOS_SEED ?? Date.now() % 1_000_000),
  ms: Number(process.env.SOAK_SECONDS ?? 1800) * 1000,
}

function renderAccount({ plan, orders, problems, figures }: ChaosReport, at: Date, here: string): string {
  const found =
    problems.length === 0 ? 'no user was on two stores, and no command was cut' : `${problems.length} problems`
  const blows = Map.groupBy(plan, ({ harm, target }) => `${harm} ${target}`)
  const given = Map.groupBy(orders.flat(), (order) => (order.kind === 'state' ? `state ${order.state}` : order.kind))
  const ordered = [...given].map(([what, those]) => [what, String(those.length)])
  const suffered = [...blows].map(([what, those]) => [what, String(those.length)])
  const facts = Object.entries(figures).map(([what, value]) => [what, String(value)])
  return `# Chaos

Users log in on two instances while stores and Redis die, hang and come back, and operators change routes and states, hold, kick and
move users. Written by \`node test/soak/chaos.ts\`;
[test/soak/README.md](../../test/soak/README.md) says what is looked at.

${at.toISOString()}, seed ${options.seed}, ${options.ms / 1000} s: **${found}**. ${here}.

${alignTable([['what came of it', 'figure'], ...facts]).join('\n')}

${alignTable([['done to them', 'times'], ...suffered.toSorted(([a = ''], [b = '']) => a.localeCompare(b))]).join('\n')}
${alignTable([['orders of operators', 'times'], ...ordered.toSorted(([a = ''], [b = '']) => a.localeCompare(b))]).join('\n')}
${problems
  .slice(0, 20)
  .map((problem) => `\n    ${problem.replaceAll('\n', '\n    ')}\n`)
  .join('')}`
}

const at = new Date()
const here = describeHere()
process.stdout.write(`chaos: seed ${options.seed}, ${options.ms / 1000} s\n`)
const report = await runChaos(options)
process.stdout.write(`${describeReport(options, report)}\n`)
await mkdir(FOLDER, { recursive: true })
await writeFile(join(FOLDER, 'chaos.md'), renderAccount(report, at, here))
if (report.problems.length > 0) process.exitCode = 1
