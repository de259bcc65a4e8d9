/** The status page: asks for the state every two seconds, and for the last hour every five, and shows what is wrong first. */
import { render } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { Backends } from './backends.js'
import { Charts } from './charts.js'
import { ApiError, createClient, poll } from './client.js'
import { ConfirmDialog, messageOf, TokenForm } from './confirm.js'
import { Explain } from './explain.js'
import { html } from './html.js'
import { Connection, Figures, Verdict } from './overview.js'
import { findProblems } from './problems.js'
import { Refusals } from './refusals.js'
import { Sessions } from './sessions.js'
import { Configuration, Directory, Instances, Listeners } from './site.js'

/**
 * @typedef {import('../status-answers.ts').StatusAnswer} StatusAnswer
 * @typedef {import('../status-answers.ts').HistoryAnswer} HistoryAnswer
 * @typedef {{ status: StatusAnswer, askedAt: import('./client.js').Stamp }} Told
 * @typedef {import('./confirm.js').Order} Order
 */

const STATUS_MS = 2000
/** As often as there is a new sample. */
const HISTORY_MS = 5000
const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000

/** @param {{ isTokenNeeded: boolean }} props */
function Page({ isTokenNeeded }) {
  const client = useMemo(createClient, [])
  const [told, setTold] = useState(/** @type {Told | undefined} */ (undefined))
  const [failure, setFailure] = useState(/** @type {string | undefined} */ (undefined))
  /** why the operator is asked for a token; undefined: not asked */
  const [tokenWanted, setTokenWanted] = useState(isTokenNeeded ? '' : undefined)
  const [history, setHistory] = useState(/** @type {HistoryAnswer | undefined} */ (undefined))
  const [order, setOrder] = useState(/** @type {Order | undefined} */ (undefined))
  const [done, setDone] = useState('')
  const polls = useRef(/** @type {{ again: () => void }[]} */ ([]))
  const isAsked = tokenWanted === undefined

  /** @param {unknown} error */
  function fail(error) {
    if (error instanceof ApiError && error.status === 401) {
      setTokenWanted(client.hasToken() ? error.message : '')
      client.setToken(undefined)
    } else setFailure(messageOf(error))
  }

  useEffect(() => {
    if (!isAsked) return
    /** @type {HistoryAnswer | undefined} */
    let known
    /** @type {() => Promise<StatusAnswer>} */
    const askStatus = () => client.call('/status')
    /** @type {() => Promise<HistoryAnswer>} */
    const askHistory = () => client.call(`/history?since=${known?.samples.at(-1)?.number ?? 0}`)
    const status = poll(askStatus, STATUS_MS, {
      onAnswer(answer, askedAt) {
        setTold({ status: answer, askedAt })
        setFailure(undefined)
      },
      onFailure: fail,
    })
    const samples = poll(askHistory, HISTORY_MS, {
      onAnswer(answer) {
        known = append(known, answer)
        setHistory(known)
      },
      onFailure: () => undefined, // the other question fails too, and says so
    })
    polls.current = [status, samples]
    return () => {
      status.stop()
      samples.stop()
    }
  }, [isAsked])

  const samples = history?.samples ?? []
  const recent = history ? samples.filter(({ atMs }) => history.nowMs - atMs < MINUTE_MS) : []
  const problems = told ? findProblems(told.status, recent, history?.everyMs) : []
  useEffect(() => {
    const wrong = problems.filter(({ severity }) => severity !== 'note').length
    const name = told?.status.hostname ?? ''
    document.title =
      failure !== undefined ? `no connection – mailmux ${name}` : `${wrong > 0 ? `(${wrong}) ` : ''}mailmux ${name}`
  })

  if (!isAsked) {
    return html`<${TokenForm}
      why=${tokenWanted}
      onToken=${(/** @type {string} */ token) => {
        client.setToken(token)
        setTokenWanted(undefined)
      }}
    />`
  }
  if (!told) return html`<main><${Connection} askedAt=${undefined} failure=${failure} /></main>`
  const { status, askedAt } = told
  return html`
    <a class="skip" href="#backends">To the back ends</a>
    <header class="top">
      <p class="name"><strong>mailmux</strong> ${status.hostname}<span class="version">${status.version}</span></p>
      <${Connection} askedAt=${askedAt} failure=${failure} />
    </header>
    <main>
      <${Verdict} problems=${problems} />
      <p class="done" role="status">${done}</p>
      <${Figures} status=${status} samples=${samples} />
      <div class="sections">
        <${Backends} backends=${status.backends} client=${client} onOrder=${setOrder} />
        <${Charts} history=${history} />
        <${Explain} client=${client} listeners=${status.listeners} nowMs=${status.nowMs} onFailure=${fail} />
        <${Refusals} client=${client} status=${status} onFailure=${fail} />
        <${Sessions} client=${client} onOrder=${setOrder} onFailure=${fail} />
        <${Instances} status=${status} />
        <${Listeners} status=${status} />
        <${Directory} status=${status} />
        <${Configuration} status=${status} />
      </div>
    </main>
    ${
      order &&
      html`<${ConfirmDialog}
        order=${order}
        onClose=${() => setOrder(undefined)}
        onNoToken=${() => fail(new ApiError(401, 'The token is not valid.'))}
        onDone=${(/** @type {string} */ what) => {
          setOrder(undefined)
          setDone(what)
          for (const one of polls.current) one.again()
        }}
      />`
    }
  `
}

/**
 * A mailmux that was started again counts from 1.
 * @param {HistoryAnswer | undefined} known @param {HistoryAnswer} next @returns {HistoryAnswer}
 */
function append(known, next) {
  const from = next.nowMs - HOUR_MS
  const samples = [...(known?.samples ?? []), ...next.samples].filter(({ atMs }) => atMs >= from && atMs <= next.nowMs)
  return { ...next, samples }
}

/** Asked first: each question without a token that the API wants would be an error in the console. */
async function needsToken() {
  try {
    const response = await fetch('/page/access')
    /** @type {unknown} */
    const answer = await response.json()
    return /** @type {{ needsToken: boolean }} */ (answer).needsToken
  } catch {
    return false // the page says that there is no connection
  }
}

const root = document.getElementById('page')
if (root) {
  const isTokenNeeded = await needsToken()
  root.replaceChildren()
  render(html`<${Page} isTokenNeeded=${isTokenNeeded} />`, root)
}
