/** The top of the page: whether everything is well, how old the data are, and a few figures. */
import { useEffect, useState } from 'preact/hooks'
import { ageOf } from './client.js'
import { formatBytes, formatCount, formatDuration, formatLatency, formatRate } from './format.js'
import { html } from './html.js'
import { summarise } from './problems.js'

/**
 * @typedef {import('./problems.js').StatusAnswer} StatusAnswer
 * @typedef {import('./problems.js').Sample} Sample
 */

/** An answer comes every second or two: older data mean that something is in the way. */
const LATE_MS = 6000

/** @param {{ askedAt: import('./client.js').Stamp | undefined, failure: string | undefined }} props */
export function Connection({ askedAt, failure }) {
  const [, tick] = useState(0)
  useEffect(() => {
    const timer = setInterval(() => tick((count) => count + 1), 500)
    return () => clearInterval(timer)
  }, [])
  const ageMs = askedAt === undefined ? undefined : ageOf(askedAt)
  const age = ageMs === undefined ? 'no data yet' : `data ${formatDuration(ageMs / 1000)} old`
  const isLost = failure !== undefined || (ageMs !== undefined && ageMs > LATE_MS)
  return html`<div class="connection">
    <p class=${isLost ? 'age lost' : 'age'}><span class="dot" aria-hidden="true"></span>${age}</p>
    <div role="alert">
      ${isLost && html`<p class="notice bad">The connection to mailmux is lost${failure === undefined ? '' : `: ${failure}`}. The data below are old. Trying again.</p>`}
    </div>
  </div>`
}

/** @param {{ problems: readonly import('./problems.js').Problem[] }} props */
export function Verdict({ problems }) {
  const { tone, text } = summarise(problems)
  return html`<div class=${`verdict ${tone}`}>
    <div role="status"><h1><span class="mark" aria-hidden="true"></span>${text}</h1></div>
    ${
      problems.length > 0 &&
      html`<ul>
        ${problems.map(
          ({ severity, text, section }) =>
            html`<li key=${section + text} class=${severity}>
              <a href=${`#${section}`}
                ><span class="mark" aria-hidden="true"></span><span class="word">${WORDS[severity]}</span> ${text}</a
              >
            </li>`,
        )}
      </ul>`
    }
  </div>`
}

const WORDS = { bad: 'Wrong:', warn: 'Attention:', note: 'By order:' }

/** @param {{ status: StatusAnswer, samples: readonly Sample[] }} props */
export function Figures({ status, samples }) {
  const last = samples.at(-1)
  const sessions = (status.backends ?? []).reduce((sum, { load }) => sum + load.sessions, 0)
  const bytes = last && (last.bytesFromClient ?? 0) + (last.bytesFromBackend ?? 0)
  const figures = [
    ['Sessions', formatCount(sessions)],
    ['Connections', formatCount(status.connections.open)],
    ['Logins a second', formatRate(last?.accepted)],
    ['Refused a second', formatRate(last && (last.refused ?? 0) + (last.failed ?? 0))],
    ['Login latency, 99 %', formatLatency(last?.latencyP99Ms)],
    ['Traffic a second', formatBytes(bytes)],
  ]
  return html`<dl class="figures">
    ${figures.map(
      ([name, value]) =>
        html`<div key=${name}>
          <dt>${name}</dt>
          <dd>${value}</dd>
        </div>`,
    )}
  </dl>`
}
