/** "Why can alice not log in": each decision on a login of this user, as the code that routes logins makes it. */
import { useState } from 'preact/hooks'
import { ApiError } from './client.js'
import { messageOf } from './confirm.js'
import { formatDuration, printable } from './format.js'
import { Badge, html, Section } from './html.js'
import { RefusalList } from './refusals.js'
import { describeHealth, describeState } from './problems.js'

/**
 * @typedef {import('../answers.ts').RouteAnswer} RouteAnswer
 * @typedef {import('./client.js').Client} Client
 * @typedef {import('../refusal-routes.ts').RefusalsAnswer} RefusalsAnswer
 * @typedef {{ user: string, answer?: RouteAnswer, last?: RefusalsAnswer['refusals'], error?: string }} Told
 * @typedef {import('./problems.js').StatusAnswer} StatusAnswer
 */

const LAST = 10

/** @param {{ client: Client, listeners: StatusAnswer['listeners'], nowMs: number, onFailure: (error: unknown) => void }} props */
export function Explain({ client, listeners, nowMs, onFailure }) {
  const [told, setTold] = useState(/** @type {Told | undefined} */ (undefined))
  const [isBusy, setBusy] = useState(false)

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault()
    const { elements } = /** @type {HTMLFormElement} */ (event.currentTarget)
    const { value: user } = /** @type {HTMLInputElement} */ (elements.namedItem('user'))
    const { value: listener } = /** @type {HTMLSelectElement} */ (elements.namedItem('listener'))
    if (user === '') return
    setBusy(true)
    try {
      const query = listener === '' ? '' : `?listener=${encodeURIComponent(listener)}`
      /** @type {RouteAnswer} */
      const answer = await client.call(`/routes/${encodeURIComponent(user)}${query}`)
      const whose = new URLSearchParams({ attempted: user, user: answer.name?.user ?? user })
      /** @type {RefusalsAnswer} */
      const { refusals: last } = await client.call(`/refusals?limit=${LAST}&${whose}`)
      setTold({ user, answer, last })
    } catch (error) {
      setTold({ user, error: messageOf(error) })
      if (error instanceof ApiError && error.status === 401) onFailure(error)
    }
    setBusy(false)
  }

  return html`<${Section} id="explain" title="Why can a user not log in?">
    <form class="search" onSubmit=${submit}>
      <label
        ><span>User</span
        ><input
          name="user"
          autocomplete="off"
          autocapitalize="none"
          spellcheck=${false}
          required
          placeholder="alice@example.org"
      /></label>
      <label
        ><span>Listener</span
        ><select name="listener">
          <option value="">the first one</option>
          ${listeners.map(({ name }) => html`<option key=${name} value=${name}>${name}</option>`)}
        </select></label
      >
      <button type="submit" class="primary" disabled=${isBusy}>Explain</button>
    </form>
    <div role="status">
      ${told?.error !== undefined && html`<p class="error">${told.error}</p>`}
      ${told?.answer && html`<${Answer} user=${told.user} answer=${told.answer} />`}
      ${told?.last && html`<h3>The last refused logins of this user</h3>`}
      ${told?.last?.length === 0 && html`<p class="hint">This instance remembers none. The log has all of them.</p>`}
      ${told?.last && html`<${RefusalList} refusals=${told.last} nowMs=${nowMs} />`}
    </div>
  <//>`
}

/** @param {{ user: string, answer: RouteAnswer }} props */
function Answer({ user, answer }) {
  const { usable, name, steps, route, refusal, backend } = answer
  const reason = refusal && (refusal.code ?? refusal.reason)
  return html`
    <p class="answer">
      <${Badge} tone=${usable ? 'good' : 'bad'}>${usable ? 'would reach a back end' : 'would be refused'}<//>${' '}<bdi>${printable(user)}</bdi>
    </p>
    <ol class="steps">
      ${(name?.notes ?? []).map((note, index) => html`<li key=${`note ${index}`}>${describeNote(note)}</li>`)}
      ${name?.user !== undefined && html`<li>The route is looked up for <code>${printable(name.user)}</code>.</li>`}
      ${steps.map(
        ({ asked, key, outcome, detail, ageMs }, index) =>
          html`<li key=${index}>
            ${ASKED[asked]}: <code>${printable(key)}</code>: <b>${outcome}</b>${detail !== undefined && `, ${printable(detail)}`}${ageMs !== undefined && ` (${formatDuration(ageMs / 1000)} old)`}
          </li>`,
      )}
      ${route && html`<li>The back end is <b>${route.backend}</b> (${route.source})${route.login !== undefined && html`, with the name <code>${printable(route.login)}</code>`}.</li>`}
      ${backend && html`<li>${backend.name}: <${Badge} ...${describeBadge(describeState(backend))} /> <${Badge} ...${describeBadge(describeHealth(backend))} /></li>`}
      ${refusal && html`<li><b>Refused</b>${reason !== undefined && html` with <code>${reason}</code>`}: ${printable(refusal.detail)}</li>`}
    </ol>
    ${answer.notTakenOver && html`<p class="hint">The files have an error since, so that this is of the files before.</p>`}
    ${answer.heldBack && html`<p class="hint">${answer.heldBack.file} is held back, so that this is of the file before.</p>`}
    ${answer.otherWorkers && html`<p class="hint">Other workers decide differently: ${answer.otherWorkers.map(({ worker, route: to, refusal: no }) => `worker ${worker}: ${to?.backend ?? printable(no?.detail ?? 'refused')}`).join('; ')}.</p>`}
  `
}

/** @param {{ tone: import('./problems.js').Tone, text: string }} badge */
const describeBadge = ({ tone, text }) => ({ tone, children: text })

const ASKED = {
  users: 'Users of the routing file',
  memory: 'Memory',
  directory: 'Directory',
  workers: 'Memory of the other workers',
  domains: 'Domains of the routing file',
  placement: 'Placement of new users',
}

/** @param {NonNullable<RouteAnswer['name']>['notes'][number]} note */
function describeNote(note) {
  switch (note.what) {
    case 'delimiter':
      return `What follows "${note.delimiter}" is not part of the user.`
    case 'default-domain':
      return `The domain ${note.domain} is added.`
    case 'alias':
      return `The domain ${note.from} stands for ${note.to}.`
    case 'master':
      return `The master user ${note.master} logs in for the user.`
    case 'wrong':
      return `The name cannot be a user: ${note.why}.`
  }
}
