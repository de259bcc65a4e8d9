/** The live sessions: a page of them at a time, a search, and the order to end. */
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { poll } from './client.js'
import { formatCount, formatDuration, formatMany, printable } from './format.js'
import { html, Section, useVisible } from './html.js'
import { filterSessions, sortSessions } from './sessions-list.js'

/**
 * @typedef {import('../answers.ts').SessionAnswer} SessionAnswer
 * @typedef {import('../answers.ts').SessionsAnswer} SessionsAnswer
 * @typedef {import('./confirm.js').Order} Order
 * @typedef {import('./client.js').Client} Client
 * @typedef {import('./sessions-list.js').SortKey} SortKey
 */

/** The answer has a megabyte then. */
const MOST = 5000
const EVERY_MS = 5000
const PER_PAGE = 50

/** @type {readonly { key: SortKey, name: string, className?: string }[]} */
const COLUMNS = [
  { key: 'user', name: 'User' },
  { key: 'client', name: 'Client' },
  { key: 'backend', name: 'Back end' },
  { key: 'ageSeconds', name: 'Age', className: 'number' },
  { key: 'idleSeconds', name: 'Idle', className: 'number' },
]

/** @param {{ client: Client, onOrder: (order: Order) => void, onFailure: (error: unknown) => void }} props */
export function Sessions({ client, onOrder, onFailure }) {
  const [answer, setAnswer] = useState(/** @type {SessionsAnswer | undefined} */ (undefined))
  const [search, setSearch] = useState('')
  const [sort, setSort] = useState(
    /** @type {{ key: SortKey, isRising: boolean }} */ ({ key: 'ageSeconds', isRising: false }),
  )
  const [page, setPage] = useState(0)
  const place = useRef(/** @type {HTMLElement | null} */ (null))
  const isVisible = useVisible(place)

  useEffect(() => {
    if (!isVisible) return
    /** @type {() => Promise<SessionsAnswer>} */
    const ask = () => client.call(`/sessions?limit=${MOST}`)
    const sessions = poll(ask, EVERY_MS, {
      onAnswer: setAnswer,
      onFailure,
    })
    return sessions.stop
  }, [isVisible])

  const found = useMemo(
    () => sortSessions(filterSessions(answer?.sessions ?? [], search), sort.key, sort.isRising),
    [answer, search, sort],
  )
  const pages = Math.max(1, Math.ceil(found.length / PER_PAGE))
  const current = Math.min(page, pages - 1)
  const shown = found.slice(current * PER_PAGE, (current + 1) * PER_PAGE)

  return html`<${Section} id="sessions" title="Sessions" wide aside=${describeTotal(answer, found.length, search)}>
    <div ref=${place}>
      <form class="search" role="search" onSubmit=${(/** @type {Event} */ event) => event.preventDefault()}>
        <label
          ><span>Search</span
          ><input
            type="search"
            name="sessions-search"
            autocomplete="off"
            placeholder="user, client, back end, phase …"
            value=${search}
            onInput=${(/** @type {InputEvent} */ event) => {
              setSearch(/** @type {HTMLInputElement} */ (event.currentTarget).value)
              setPage(0)
            }}
        /></label>
      </form>
      <table role="table" class="stacked">
        <thead role="rowgroup">
          <tr role="row">
            ${COLUMNS.map(({ key, name, className = '' }) => html`<${Head} key=${key} name=${name} className=${className} sort=${sort.key === key ? sort : undefined} onSort=${() => setSort({ key, isRising: sort.key === key ? !sort.isRising : key !== 'ageSeconds' && key !== 'idleSeconds' })} />`)}
            <th role="columnheader" scope="col">Protocol</th>
            <th role="columnheader" scope="col">Phase</th>
            <th role="columnheader" scope="col">Orders</th>
          </tr>
        </thead>
        <tbody role="rowgroup">
          ${shown.map((one) => html`<${Row} key=${one.id} session=${one} client=${client} onOrder=${onOrder} />`)}
        </tbody>
      </table>
      ${answer && found.length === 0 && html`<p class="hint">No session${search === '' ? '' : ' matches the search'}.</p>`}
      ${
        pages > 1 &&
        html`<nav class="pages" aria-label="Pages of sessions">
          <button type="button" disabled=${current === 0} onClick=${() => setPage(current - 1)}>Previous</button>
          <span role="status">${current + 1} of ${pages}</span>
          <button type="button" disabled=${current === pages - 1} onClick=${() => setPage(current + 1)}>Next</button>
        </nav>`
      }
    </div>
  <//>`
}

/** @param {SessionsAnswer | undefined} answer @param {number} found @param {string} search */
function describeTotal(answer, found, search) {
  if (!answer) return 'Not read yet.'
  const { total, sessions, scope } = answer
  const where = scope === 'all' ? 'of all instances' : 'of this instance'
  const part = sessions.length < total ? ` The oldest ${formatCount(sessions.length)} are searched.` : ''
  return `${formatMany(total, 'session')} ${where}.${search === '' ? '' : ` ${formatCount(found)} found.`}${part}`
}

/** @param {{ name: string, className: string, sort: { isRising: boolean } | undefined, onSort: () => void }} props */
function Head({ name, className, sort, onSort }) {
  const order = sort && (sort.isRising ? 'ascending' : 'descending')
  return html`<th role="columnheader" scope="col" class=${className} aria-sort=${order}>
    <button type="button" class="sort" onClick=${onSort}>
      ${name}<span aria-hidden="true">${sort ? (sort.isRising ? ' ↑' : ' ↓') : ''}</span>
    </button>
  </th>`
}

/** @param {{ session: SessionAnswer, client: Client, onOrder: (order: Order) => void }} props */
function Row({ session, client, onOrder }) {
  const { user, client: address, backend, ageSeconds, idleSeconds, protocol, phase, tls, listener, instance } = session
  return html`<tr role="row">
    <th role="rowheader" scope="row" data-label="User" class="text"><bdi>${printable(user ?? '–')}</bdi></th>
    <td role="cell" data-label="Client" class="text"><bdi>${printable(address)}</bdi></td>
    <td role="cell" data-label="Back end">${backend ?? '–'}</td>
    <td role="cell" data-label="Age" class="number">${formatDuration(ageSeconds)}</td>
    <td role="cell" data-label="Idle" class="number">
      ${idleSeconds === undefined ? '–' : formatDuration(idleSeconds)}
    </td>
    <td role="cell" data-label="Protocol">${protocol} <small>${listener}, ${tls ?? 'no TLS'}</small></td>
    <td role="cell" data-label="Phase">${phase}${instance !== undefined && html` <small>${instance}</small>`}</td>
    <td role="cell" data-label="Orders" class="orders">
      <button type="button" onClick=${() => onOrder(buildEnd(session, client))}>
        End<span class="hidden"> sessions of ${printable(user ?? address)}</span>
      </button>
    </td>
  </tr>`
}

/** @param {SessionAnswer} session @param {Client} client @returns {Order} */
function buildEnd({ user, client: address }, client) {
  const query = new URLSearchParams({ ...(user !== undefined && { user }), client: address })
  const whose = user === undefined ? `from ${address}` : `of ${printable(user)} from ${address}`
  return {
    title: `End sessions ${whose}?`,
    explain:
      'Each session ends at a safe point: the mail program has no command in progress, and connects again by itself.',
    button: 'End',
    isHarsh: true,
    async affected() {
      /** @type {SessionsAnswer} */
      const { total, scope } = await client.call(`/sessions?limit=0&${query}`)
      return `This ends ${formatMany(total, 'session')} ${scope === 'all' ? 'of all instances' : 'of this instance'}.`
    },
    fields: [{ name: 'now', label: 'At once, even with a command in progress', kind: 'checkbox' }],
    async run({ now }) {
      /** @type {{ ended: number }} */
      const { ended } = await client.call(`/sessions?${query}${now ? '&now=true' : ''}`, { method: 'DELETE' })
      return `${formatMany(ended, 'session')} ${whose} ${ended === 1 ? 'ends' : 'end'}.`
    },
  }
}
