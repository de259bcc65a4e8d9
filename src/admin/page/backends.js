/** The back ends: what they do, how they are, and the orders drain, pause and up. */
import { Badge, html, Section } from './html.js'
import { formatCount, formatLatency, formatMany, formatRate } from './format.js'
import { describeHealth, describeState } from './problems.js'

/**
 * @typedef {import('./problems.js').BackendStatus} BackendStatus
 * @typedef {import('./confirm.js').Order} Order
 * @typedef {import('./client.js').Client} Client
 */

/** @param {{ backends: readonly BackendStatus[] | undefined, client: Client, onOrder: (order: Order) => void }} props */
export function Backends({ backends, client, onOrder }) {
  if (!backends) return html`<${Section} id="backends" title="Back ends" wide><p>No worker answers.</p><//>`
  return html`<${Section}
    id="backends"
    title="Back ends"
    wide
    aside="Of this instance. Rates and latencies are of the last minute."
  >
    <table role="table" class="stacked">
      <thead role="rowgroup">
        <tr role="row">
          ${HEADS.map(({ name, className }) => html`<th key=${name} role="columnheader" scope="col" class=${className}>${name}</th>`)}
        </tr>
      </thead>
      <tbody role="rowgroup">
        ${backends.map((backend) => html`<${Row} key=${backend.name} backend=${backend} client=${client} onOrder=${onOrder} />`)}
      </tbody>
    </table>
  <//>`
}

const HEADS = [
  { name: 'Name', className: '' },
  { name: 'State', className: '' },
  { name: 'Health', className: '' },
  { name: 'Sessions', className: 'number' },
  { name: 'Logins a second', className: 'number' },
  { name: 'Waiting', className: 'number' },
  { name: 'Latency, median', className: 'number' },
  { name: '99 %', className: 'number' },
  { name: 'Orders', className: '' },
]

/** @param {{ backend: BackendStatus, client: Client, onOrder: (order: Order) => void }} props */
function Row({ backend, client, onOrder }) {
  const { name, stateFrom, load, rate } = backend
  const state = describeState(backend)
  const { sessions: most } = load.limits
  return html`<tr role="row">
    <th role="rowheader" scope="row" data-label="Name">${name}</th>
    <td role="cell" data-label="State">
      <${Badge} tone=${state.tone}>${state.text}<//>${stateFrom === 'directory' && html` <small>set in Redis</small>`}
    </td>
    <td role="cell" data-label="Health"><${Health} backend=${backend} /></td>
    <td role="cell" data-label="Sessions" class="number">
      ${formatCount(load.sessions)}${most !== undefined && html` <small>of ${formatCount(most)}</small>`}
    </td>
    <td role="cell" data-label="Logins a second" class="number">${formatRate(rate?.loginsPerSecond)}</td>
    <td role="cell" data-label="Waiting" class="number">${formatCount(load.waiting)}</td>
    <td role="cell" data-label="Latency, median" class="number">${formatLatency(rate?.latencyP50Ms)}</td>
    <td role="cell" data-label="Latency, 99 %" class="number">${formatLatency(rate?.latencyP99Ms)}</td>
    <td role="cell" data-label="Orders" class="orders">
      ${ordersFor(backend).map(
        (order) =>
          html`<button key=${order} type="button" onClick=${() => onOrder(buildOrder(order, name, client))}>
            ${LABELS[order]}<span class="hidden"> ${name}</span>
          </button>`,
      )}
    </td>
  </tr>`
}

/** @param {{ backend: BackendStatus }} props */
function Health({ backend }) {
  const { tone, text } = describeHealth(backend)
  const { addresses } = backend
  return html`<details open=${tone !== 'good'}>
    <summary><${Badge} tone=${tone}>${text}<//></summary>
    <ul class="addresses">
      ${addresses.map(
        ({ protocol, ip, port, state, lastError }) =>
          html`<li key=${`${protocol} ${ip} ${port}`}>
            <${Badge} tone=${state === 'up' ? 'good' : 'bad'}>${state}<//> ${protocol}${' '}
            <code>${ip.includes(':') ? `[${ip}]` : ip}:${port}</code>
            ${lastError !== undefined && html` <small>${lastError}</small>`}
          </li>`,
      )}
    </ul>
  </details>`
}

const LABELS = { drain: 'Drain', pause: 'Pause', up: 'Up' }

/** @typedef {keyof typeof LABELS} StateOrder */

/** Those that would change something. @param {BackendStatus} backend @returns {StateOrder[]} */
function ordersFor({ state }) {
  return /** @type {StateOrder[]} */ (['drain', 'pause', 'up']).filter((order) => order !== state)
}

const EXPLAIN = {
  drain:
    'New logins are refused for now, so that mail programs come back later. Running sessions end over the time below, each at a safe point. This holds for all instances.',
  pause: 'New logins wait until the back end is up again. Running sessions go on. This holds for all instances.',
  up: 'The back end takes logins again. This holds for all instances.',
}

/** @param {StateOrder} state @param {string} backend @param {Client} client @returns {Order} */
function buildOrder(state, backend, client) {
  return {
    title: `${LABELS[state]} ${backend}?`,
    explain: EXPLAIN[state],
    button: LABELS[state],
    isHarsh: state === 'drain',
    async affected() {
      /** @type {{ total: number, scope?: string }} */
      const { total, scope } = await client.call(`/sessions?limit=0&backend=${encodeURIComponent(backend)}`)
      const where = scope === 'all' ? 'of all instances' : 'of this instance'
      if (state === 'drain') return `This ends ${formatMany(total, 'session')} ${where}.`
      return `${formatMany(total, 'session')} ${where} at ${backend} ${total === 1 ? 'goes' : 'go'} on.`
    },
    fields:
      state === 'drain'
        ? [
            {
              name: 'over',
              label: 'Over',
              kind: 'text',
              hint: '10m, or empty for the usual time',
              pattern: '\\d+(ms|s|m|h|d)',
            },
            { name: 'force', label: 'Replace the drain of another operator', kind: 'checkbox' },
          ]
        : [],
    async run({ over, force }) {
      await client.call(`/backends/${encodeURIComponent(backend)}/state`, {
        method: 'PUT',
        body: { state, by: 'status-page', ...(over && { over }), ...(force && { force: true }) },
      })
      return `${backend}: ${state} is ordered.`
    },
  }
}
