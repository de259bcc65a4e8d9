/** Draws lines over time as an SVG picture that a browser and a page of Markdown show, in light and in dark. Pure. */

export type Plot = {
  title: string
  /** what the axes count, with the unit */
  x: string
  y: string
  /** at most as many as there are colours; a point is [x, y], in order of x */
  lines: { name: string; points: readonly (readonly [number, number])[] }[]
}

const [WIDTH, HEIGHT] = [760, 380]
/** around the field where the lines are: for the title and the names above it, for the axes' numbers and words beside it */
const MARGIN = { top: 72, right: 24, bottom: 56, left: 64 }
/** told apart with every kind of eyesight (Okabe and Ito), and on white as on black */
const COLOURS = ['#0072b2', '#d55e00', '#009e73']
const INK = '#777'

export function drawPlot({ title, x, y, lines }: Plot): string {
  const points = lines.flatMap((line) => line.points)
  const xs = chooseTicks(Math.max(1, ...points.map(([at]) => at)), 10)
  const ys = chooseTicks(Math.max(1, ...points.map(([, value]) => value)), 6)
  const right = WIDTH - MARGIN.right
  const bottom = HEIGHT - MARGIN.bottom
  const toX = (value: number): number => round(MARGIN.left + (value / last(xs)) * (right - MARGIN.left))
  const toY = (value: number): number => round(bottom - (value / last(ys)) * (bottom - MARGIN.top))

  const grid = ys.map(
    (tick) =>
      `<line x1="${MARGIN.left}" x2="${right}" y1="${toY(tick)}" y2="${toY(tick)}" stroke="${INK}" stroke-opacity="${tick === 0 ? 1 : 0.25}"/>` +
      text(MARGIN.left - 10, toY(tick) + 4, String(tick), 'end'),
  )
  const foot = xs.map((tick) => text(toX(tick), bottom + 20, String(tick), 'middle'))
  const drawn = lines.map(({ points: line }, index) => {
    const path = line.map(([at, value]) => `${toX(at)},${toY(value)}`).join(' ')
    return `<polyline points="${path}" fill="none" stroke="${colour(index)}" stroke-width="2.5" stroke-linejoin="round"/>`
  })
  const names = lines.map(({ name }, index) => {
    const at = MARGIN.left + index * (lines.length > 2 ? 224 : 300)
    return `<line x1="${at}" x2="${at + 24}" y1="52" y2="52" stroke="${colour(index)}" stroke-width="4"/>${text(at + 32, 56, name, 'start')}`
  })
  const middle = (MARGIN.top + bottom) / 2
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="system-ui, sans-serif" font-size="13" fill="${INK}" role="img">`,
    `<title>${escape(title)}</title>`,
    `<text x="${MARGIN.left}" y="28" font-size="17" font-weight="600">${escape(title)}</text>`,
    ...names,
    ...grid,
    ...foot,
    text((MARGIN.left + right) / 2, HEIGHT - 12, x, 'middle'),
    `<text transform="translate(18 ${middle}) rotate(-90)" text-anchor="middle">${escape(y)}</text>`,
    ...drawn,
    '</svg>',
    '',
  ].join('\n')
}

/** Round numbers from 0 to at least `highest`: about `count` steps of 1, 2 or 5 times a power of ten. */
export function chooseTicks(highest: number, count: number): number[] {
  const rough = highest / count
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = Math.max(1, power * ([1, 2, 5].find((one) => one * power >= rough) ?? 10))
  return Array.from({ length: Math.ceil(highest / step) + 1 }, (_, index) => index * step)
}

function text(x: number, y: number, words: string, anchor: 'start' | 'middle' | 'end'): string {
  return `<text x="${x}" y="${y}" text-anchor="${anchor}">${escape(words)}</text>`
}

function escape(words: string): string {
  return words.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')
}

function colour(index: number): string {
  return COLOURS[index % COLOURS.length] ?? INK
}

function last(ticks: readonly number[]): number {
  return ticks.at(-1) ?? 1
}

function round(value: number): number {
  return Math.round(value * 10) / 10
}
