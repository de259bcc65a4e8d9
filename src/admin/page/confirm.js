/** Dialogs: an order is confirmed before it is given, with what it affects. */
import { useEffect, useRef, useState } from 'preact/hooks'
import { ApiError } from './client.js'
import { html } from './html.js'

/**
 * @typedef {{
 *   title: string,
 *   explain: string,
 *   affected: () => Promise<string>,
 *   button: string,
 *   isHarsh?: boolean,
 *   fields?: readonly { name: string, label: string, kind: 'text' | 'checkbox', hint?: string, pattern?: string }[],
 *   run: (values: Record<string, string | boolean>) => Promise<string>,
 * }} Order
 */

/**
 * @param {{ order: Order, onDone: (told: string) => void, onClose: () => void, onNoToken: () => void }} props
 * `onDone`: the order was carried out
 */
export function ConfirmDialog({ order, onDone, onClose, onNoToken }) {
  const dialog = useRef(/** @type {HTMLDialogElement | null} */ (null))
  const [affected, setAffected] = useState(/** @type {string | undefined} */ (undefined))
  const [error, setError] = useState(/** @type {string | undefined} */ (undefined))
  const [isBusy, setBusy] = useState(false)

  useEffect(() => {
    dialog.current?.showModal()
    let isOpen = true
    order.affected().then(
      (told) => isOpen && setAffected(told),
      (/** @type {unknown} */ cause) =>
        isOpen && setAffected(`How many sessions this affects is not known: ${messageOf(cause)}`),
    )
    return () => {
      isOpen = false
    }
  }, [order])

  /** @param {SubmitEvent} event */
  async function submit(event) {
    event.preventDefault()
    const form = /** @type {HTMLFormElement} */ (event.currentTarget)
    const values = Object.fromEntries(
      (order.fields ?? []).map(({ name, kind }) => {
        const input = /** @type {HTMLInputElement} */ (form.elements.namedItem(name))
        return [name, kind === 'checkbox' ? input.checked : input.value.trim()]
      }),
    )
    setBusy(true)
    setError(undefined)
    try {
      onDone(await order.run(values))
    } catch (cause) {
      setBusy(false)
      setError(messageOf(cause))
      if (cause instanceof ApiError && cause.status === 401) onNoToken()
    }
  }

  return html`<dialog ref=${dialog} aria-labelledby="dialog-title" aria-describedby="dialog-text" onClose=${onClose}>
    <form onSubmit=${submit}>
      <h2 id="dialog-title">${order.title}</h2>
      <div id="dialog-text">
        <p class="affected">${affected ?? 'Counting the sessions that this affects …'}</p>
        <p>${order.explain}</p>
      </div>
      ${(order.fields ?? []).map(
        ({ name, label, kind, hint, pattern }) =>
          html`<label key=${name} class=${kind}>
            <span>${label}</span>
            <input name=${name} type=${kind} pattern=${pattern} placeholder=${hint} autocomplete="off" />
          </label>`,
      )}
      <p class="error" role="alert">${error}</p>
      <div class="buttons">
        <button type="button" onClick=${() => dialog.current?.close()}>Cancel</button>
        <button type="submit" class=${order.isHarsh ? 'harsh' : 'primary'} disabled=${isBusy || affected === undefined}>
          ${order.button}
        </button>
      </div>
    </form>
  </dialog>`
}

/** @param {unknown} cause */
export function messageOf(cause) {
  if (cause instanceof ApiError) return cause.message
  return 'mailmux does not answer'
}

/** @param {{ why: string | undefined, onToken: (token: string) => void }} props */
export function TokenForm({ why, onToken }) {
  /** @param {SubmitEvent} event */
  function submit(event) {
    event.preventDefault()
    const form = /** @type {HTMLFormElement} */ (event.currentTarget)
    const input = /** @type {HTMLInputElement} */ (form.elements.namedItem('token'))
    if (input.value.trim() !== '') onToken(input.value.trim())
  }
  return html`<main class="token">
    <form onSubmit=${submit}>
      <h1>mailmux</h1>
      <label><span>Token</span><input name="token" type="password" autocomplete="off" required autofocus /></label>
      <p class="error" role="alert">${why}</p>
      <p class="hint">
        The token is in the file of admin.token_file. This page keeps it in memory: after a reload of the page it asks
        again.
      </p>
      <div class="buttons"><button type="submit" class="primary">Show the status</button></div>
    </form>
  </main>`
}
