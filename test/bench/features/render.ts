/** The table of features: what each one adds to an operation, next to mailmux as by default in the same rounds. */
import { alignTable, show, showInterval } from '../render.ts'
import type { SummedSection } from '../summary.ts'
import { figureOf, intervalOf, median, ratioOf, type Row } from '../summary.ts'
import { asByDefault, features } from './features.ts'

const UNITS = new Map([
  ['login', 'login'],
  ['noop', 'NOOP'],
  ['fetch', 'MiB fetched'],
])

/** The median of the differences within each round that has both figures. */
function differenceOf(row: Row, peer: string, baseline: string): number | undefined {
  const base = row.rounds.get(baseline)
  return median(
    [...(row.rounds.get(peer) ?? [])].flatMap(([round, value]) => {
      const other = base?.get(round)
      return other === undefined ? [] : [value - other]
    }),
  )
}

function withSign(value: number | undefined): string {
  return value !== undefined && value > 0 ? `+${show(value)}` : show(value)
}

/** Empty without the section. */
export function renderFeatures(sections: SummedSection[]): string {
  const section = sections.find(({ name }) => name === 'features')
  if (section === undefined) return ''
  const rows = section.summary.cpu
  const baseline = asByDefault.peer.name
  const unitOf = (row: Row): string => UNITS.get(row.name) ?? row.title
  const header = ['feature', 'switched', ...rows.flatMap((row) => [`µs a ${unitOf(row)}`, 'ratio'])]
  const first = [asByDefault.title, '', ...rows.flatMap((row) => [show(figureOf(row, baseline)), ''])]
  const lines = features.map(({ title, how, peer: { name } }) => [
    ...[title, how],
    ...rows.flatMap((row) => {
      const ratio = ratioOf(row, name, baseline)
      const interval = intervalOf(row, name, baseline)
      return [withSign(differenceOf(row, name, baseline)), `${show(ratio)}${showInterval(interval)}`]
    }),
  ])
  return `${alignTable([header, first, ...lines]).join('\n')}\n`
}
