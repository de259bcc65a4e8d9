/**
 * The chart of docs/performance.md: what each peer costs, as a multiple of the first one's cost, on a logarithmic scale, so that half
 * and twice are equally far from the line in the middle. A group of bars a workload. Plain SVG without scripts or fonts of its own.
 */
import { ratioOf, type Row } from './summary.ts'

/** Chosen to be told apart by people who do not see red or green, and on a white and on a dark page. */
const COLOURS = ['#7f7f7f', '#e69f00', '#56b4e9', '#0072b2', '#009e73', '#d55e00', '#cc79a7', '#332288']

const WIDTH = 960
const LEFT = 230
const RIGHT = 70
const TOP = 92
const BAR = 11
const GAP = 14
const BOTTOM = 46

/** Of a bar beyond, only the number tells how far. */
const SMALLEST = 1 / 8
const LARGEST = 16

type Bar = { peer: string; ratio: number; isMarked: boolean }
type Group = { title: string; bars: Bar[] }

/** Rows of CPU and of memory may follow each other: a ratio has no unit. A row without a figure of `baseline` is left out. */
export function drawChart(heading: string, rows: Row[], baseline: string, peers: string[]): string {
  const groups = rows.map((row) => buildGroup(row, baseline, peers)).filter(({ bars }) => bars.length > 0)
  const shown = peers.filter((peer) => groups.some(({ bars }) => bars.some((bar) => bar.peer === peer)))
  const colourOf = (peer: string): string => COLOURS[shown.indexOf(peer) % COLOURS.length]!
  const ratios = groups.flatMap(({ bars }) => bars.map(({ ratio }) => ratio))
  const scale = buildScale(Math.min(1, ...ratios), Math.max(1, ...ratios))

  const parts: string[] = []
  let y = TOP
  for (const { title, bars } of groups) {
    const height = bars.length * BAR
    parts.push(text(LEFT - 10, y + height / 2 + 4, title, 'end'))
    for (const [index, bar] of bars.entries()) parts.push(drawBar(bar, y + index * BAR, scale, colourOf(bar.peer)))
    y += height + GAP
  }
  const bottom = y
  const axis = scale.ticks.flatMap((tick) => [
    `<line x1="${at(scale, tick)}" y1="${TOP - 8}" x2="${at(scale, tick)}" y2="${bottom}" class="${tick === 1 ? 'one' : 'grid'}"/>`,
    text(scale.toX(tick), bottom + 16, showTick(tick), 'middle'),
  ])
  const legend = shown.map((peer, index) => drawLegend(peer, colourOf(peer), index))
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${bottom + BOTTOM}" width="${WIDTH}" height="${bottom + BOTTOM}" role="img">`,
    `<title>${escape(heading)}</title>`,
    STYLE,
    `<rect width="100%" height="100%" class="page"/>`,
    text(LEFT, 24, heading, 'start', 'heading'),
    text(LEFT, 42, `times what ${baseline} costs: to the right of the line dearer, to the left cheaper`, 'start'),
    ...legend,
    ...axis,
    ...parts,
    text((LEFT + WIDTH - RIGHT) / 2, bottom + 36, `cost / ${baseline}, logarithmic`, 'middle'),
    '</svg>',
  ].join('\n')}\n`
}

const STYLE = `<style>
  text { font: 12px system-ui, sans-serif; fill: #24292f }
  .heading { font-size: 16px; font-weight: 600 }
  .value { font-size: 10px }
  .page { fill: #ffffff }
  .grid { stroke: #d0d7de }
  .one { stroke: #24292f; stroke-width: 1.5 }
</style>`

function buildGroup(row: Row, baseline: string, peers: string[]): Group {
  const bars: Bar[] = []
  for (const peer of peers) {
    const ratio = ratioOf(row, peer, baseline)
    if (peer === baseline || ratio === undefined || !(ratio > 0 && ratio < Infinity)) continue
    bars.push({ peer, ratio, isMarked: row.marks.has(peer) })
  }
  return { title: row.title, bars }
}

type Scale = { ticks: number[]; toX: (ratio: number) => number }

/** From one power of two to another, with room for the numbers at the ends of the bars. */
function buildScale(smallest: number, largest: number): Scale {
  const from = Math.floor(Math.log2(Math.max(SMALLEST, smallest * 0.9)))
  const to = Math.ceil(Math.log2(Math.min(LARGEST, largest * 1.1)))
  const perDoubling = (WIDTH - LEFT - RIGHT) / (to - from)
  const toX = (ratio: number): number => {
    const kept = Math.min(2 ** to, Math.max(2 ** from, ratio))
    return LEFT + (Math.log2(kept) - from) * perDoubling
  }
  return { ticks: Array.from({ length: to - from + 1 }, (_, index) => 2 ** (from + index)), toX }
}

function drawBar({ peer, ratio, isMarked }: Bar, y: number, scale: Scale, colour: string): string {
  const [left = 0, right = 0] = [scale.toX(1), scale.toX(ratio)].toSorted((a, b) => a - b)
  const label = `${ratio.toFixed(ratio < 10 ? 2 : 1)}${isMarked ? ' †' : ''}`
  const isCheaper = ratio < 1
  return [
    `<rect x="${round(left)}" y="${y}" width="${round(Math.max(1, right - left))}" height="${BAR - 1}" fill="${colour}">`,
    `<title>${escape(`${peer} ${label}`)}</title></rect>`,
    text(isCheaper ? left - 4 : right + 4, y + BAR - 2, label, isCheaper ? 'end' : 'start', 'value'),
  ].join('')
}

const LEGEND_COLUMN = 115
/** Eight columns fit from here on. */
const LEGEND_LEFT = 20

function drawLegend(peer: string, colour: string, index: number): string {
  const x = LEGEND_LEFT + index * LEGEND_COLUMN
  return `<rect x="${x}" y="56" width="12" height="12" fill="${colour}"/>${text(x + 17, 66, peer, 'start')}`
}

type Anchor = 'start' | 'middle' | 'end'

function text(x: number, y: number, words: string, anchor: Anchor, style?: string): string {
  const look = style === undefined ? '' : ` class="${style}"`
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}"${look}>${escape(words)}</text>`
}

function at(scale: Scale, ratio: number): number {
  return round(scale.toX(ratio))
}

function showTick(tick: number): string {
  return tick < 1 ? `1/${1 / tick}` : String(tick)
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}

function escape(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}
