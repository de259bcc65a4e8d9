/** The last hour: logins, bytes and latencies as charts, each with its newest values as text. */
import { useEffect, useRef, useState } from 'preact/hooks'
import uPlot from 'uplot'
import { html, Section } from './html.js'
import { formatBytes, formatLatency, formatRate } from './format.js'

/**
 * @typedef {import('../status-answers.ts').HistoryAnswer} HistoryAnswer
 * @typedef {import('./problems.js').Sample} Sample
 * @typedef {{ key: Exclude<keyof Sample, 'number' | 'atMs'>, label: string, colour: string, dash?: number[] }} Line
 * @typedef {{ title: string, lines: Line[], format: (value: number | null | undefined) => string }} Chart
 */

/** @type {Chart[]} */
const CHARTS = [
  {
    title: 'Logins a second',
    format: formatRate,
    lines: [
      { key: 'accepted', label: 'accepted', colour: '--chart-1' },
      { key: 'refused', label: 'refused', colour: '--chart-2', dash: [6, 3] },
      { key: 'failed', label: 'failed', colour: '--chart-3', dash: [2, 2] },
    ],
  },
  {
    title: 'Bytes a second',
    format: formatBytes,
    lines: [
      { key: 'bytesFromBackend', label: 'to clients', colour: '--chart-1' },
      { key: 'bytesFromClient', label: 'from clients', colour: '--chart-2', dash: [6, 3] },
    ],
  },
  {
    title: 'Login latency',
    format: formatLatency,
    lines: [
      { key: 'latencyP50Ms', label: 'median', colour: '--chart-1' },
      { key: 'latencyP99Ms', label: '99 %', colour: '--chart-3', dash: [6, 3] },
    ],
  },
]

const HEIGHT = 150
const HOUR_S = 3600

/** @param {{ history: HistoryAnswer | undefined }} props */
export function Charts({ history }) {
  return html`<${Section} id="traffic" title="The last hour" wide aside="Of this instance, from its start on.">
    <div class="charts">
      ${CHARTS.map((chart) => html`<${OneChart} key=${chart.title} chart=${chart} history=${history} />`)}
    </div>
  <//>`
}

/** @param {{ chart: Chart, history: HistoryAnswer | undefined }} props */
function OneChart({ chart, history }) {
  const { title, lines, format } = chart
  const place = useRef(/** @type {HTMLDivElement | null} */ (null))
  const plot = useRef(/** @type {uPlot | undefined} */ (undefined))
  const scheme = useScheme()
  const samples = history?.samples ?? []
  const last = samples.at(-1)

  useEffect(() => {
    const { current } = place
    if (!current) return
    const made = new uPlot(buildOptions(chart, current), buildData(lines, history), current)
    plot.current = made
    const observer = new ResizeObserver(() => made.setSize({ width: current.clientWidth, height: HEIGHT }))
    observer.observe(current)
    return () => {
      observer.disconnect()
      made.destroy()
    }
  }, [scheme])
  useEffect(() => plot.current?.setData(buildData(lines, history)), [history])

  const highest = (/** @type {Line['key']} */ key) => Math.max(0, ...samples.map((one) => one[key] ?? 0))
  const words = lines
    .map(({ key, label }) => `${label} ${format(last?.[key])}, highest ${format(highest(key))}`)
    .join('; ')
  return html`<figure>
    <figcaption>
      <h3>${title}</h3>
      <ul class="legend">
        ${lines.map(
          ({ key, label, colour, dash }) =>
            html`<li key=${key}>
              <span class=${`line ${colour.slice(2)} ${dash ? 'dashed' : ''}`} aria-hidden="true"></span>${label}${' '}
              <b>${format(last?.[key])}</b>
            </li>`,
        )}
      </ul>
    </figcaption>
    <div ref=${place} class="plot" role="img" aria-label=${`${title} over the last hour: ${words}`}></div>
  </figure>`
}

/** The colours are read once for a chart, so that another scheme makes another chart. */
function useScheme() {
  const query = useRef(matchMedia('(prefers-color-scheme: dark)'))
  const [isDark, setDark] = useState(query.current.matches)
  useEffect(() => {
    const onChange = () => setDark(query.current.matches)
    query.current.addEventListener('change', onChange)
    return () => query.current.removeEventListener('change', onChange)
  }, [])
  return isDark
}

/** @param {readonly Line[]} lines @param {HistoryAnswer | undefined} history @returns {uPlot.AlignedData} */
function buildData(lines, history) {
  const samples = history?.samples ?? []
  // By the clock of the browser, as the axis shows times of its zone.
  const shiftMs = history ? Date.now() - history.nowMs : 0
  return /** @type {uPlot.AlignedData} */ ([
    samples.map(({ atMs }) => (atMs + shiftMs) / 1000),
    ...lines.map(({ key }) => samples.map((one) => one[key])),
  ])
}

/** @param {Chart} chart @param {HTMLElement} place @returns {uPlot.Options} */
function buildOptions({ lines, format }, place) {
  const style = getComputedStyle(place)
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim()
  const axis = {
    stroke: colour('--muted'),
    font: `12px ${style.fontFamily}`,
    grid: { stroke: colour('--border'), width: 1 },
    ticks: { show: false },
  }
  return {
    width: place.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { show: false },
    scales: {
      x: { range: () => [Date.now() / 1000 - HOUR_S, Date.now() / 1000] },
      y: { range: (_, __, most) => [0, most > 0 ? most * 1.15 : 1] },
    },
    axes: [
      { ...axis, size: 26, space: 70, values: '{HH}:{mm}' },
      { ...axis, size: 64, space: 36, values: (_, splits) => splits.map((value) => format(value)) },
    ],
    series: [
      {},
      ...lines.map(({ label, colour: name, dash }) => ({
        label,
        stroke: colour(name),
        width: 1.25,
        points: { show: false },
        spanGaps: false,
        ...(dash && { dash }),
      })),
    ],
  }
}
