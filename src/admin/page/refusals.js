/** Refused logins: how many for each reason, and the last ones, of all users or of one. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { poll } from './client.js'
import { formatAgo, formatCount, printable } from './format.js'
import { html, Section, useVisible } from './html.js'

/**
 * @typedef {import('../refusal-routes.ts').RefusalsAnswer} RefusalsAnswer
 * @typedef {import('./client.js').Client} Client
 * @typedef {import('./problems.js').StatusAnswer} StatusAnswer
 */

const EVERY_MS = 5000
/** As many as fit beside the counts. */
const LAST = 8

/** @param {{ client: Client, status: StatusAnswer, onFailure: (error: unknown) => void }} props */
export function Refusals({ client, status, onFailure }) {
  const { rejected, limited, nowMs } = status
  const [answer, setAnswer] = useState(/** @type {RefusalsAnswer | undefined} */ (undefined))
  const place = useRef(/** @type {HTMLElement | null} */ (null))
  const isVisible = useVisible(place)
  useEffect(() => {
    if (!isVisible) return
    /** @type {() => Promise<RefusalsAnswer>} */
    const ask = () => client.call(`/refusals?limit=${LAST}`)
    return poll(ask, EVERY_MS, { onAnswer: setAnswer, onFailure }).stop
  }, [isVisible])

  const logins = (answer?.counts ?? []).map(({ reason, code, count }) => ({ name: code ?? reason ?? 'other', count }))
  return html`<${Section} id="refusals" title="Refusals by reason" aside="Of this instance, since its start.">
    <div ref=${place} class="columns">
      <div><${Counts} title="Logins" counts=${logins} /></div>
      <div><${Counts} title="Connections before a login" counts=${rejected} /></div>
      <div><${Counts} title="By a limit" counts=${limited} /></div>
    </div>
    ${answer && answer.refusals.length > 0 && html`<h3>The last refused logins</h3><${RefusalList} refusals=${answer.refusals} nowMs=${nowMs} />`}
  <//>`
}

/** @param {{ title: string, counts: readonly { name: string, count: number }[] }} props */
function Counts({ title, counts }) {
  const rows = counts.map(
    ({ name, count }) => html`<div key=${name}><dt>${name}</dt><dd>${formatCount(count)}</dd></div>`,
  )
  return html`<h3>${title}</h3>${counts.length === 0 ? html`<p class="hint">None.</p>` : html`<dl class="counts">${rows}</dl>`}`
}

/** @param {{ refusals: RefusalsAnswer['refusals'], nowMs: number }} props `nowMs` by the clock of mailmux */
export function RefusalList({ refusals, nowMs }) {
  return html`<ul class="refusals">
    ${refusals.map(
      ({ atMs, session, attempted, client, listener, backend, reason, code, detail }) =>
        html`<li key=${`${session} ${atMs}`}>
          <p><bdi>${attempted}</bdi>${' '}<small>${formatAgo(atMs, nowMs)}, from ${client}, ${listener}${backend === undefined ? '' : `, ${backend}`}</small></p>
          <p><code>${code ?? reason ?? 'refused'}</code>${' '}<bdi>${printable(detail)}</bdi></p>
        </li>`,
    )}
  </ul>`
}
