/** The templates of the page. Every value in a template becomes a text node or an attribute, and is never parsed as HTML. */
import { h } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import htm from 'htm'

/**
 * @typedef {import('preact').VNode} VNode
 * @type {(strings: TemplateStringsArray, ...values: unknown[]) => VNode}
 */
export const html = /** @type {never} */ (htm.bind(h))

/** Marks the state by a shape, a colour and its word. @param {{ tone: 'good' | 'warn' | 'bad' | 'off', children?: unknown }} props */
export function Badge({ tone, children }) {
  return html`<span class=${`badge ${tone}`}><span class="mark" aria-hidden="true"></span>${children}</span>`
}

/** A section that links lead to. @param {{ id: string, title: string, aside?: unknown, wide?: boolean, children?: unknown }} props */
export function Section({ id, title, aside, wide, children }) {
  return html`<section id=${id} class=${wide ? 'wide' : ''} tabindex="-1" aria-labelledby=${`${id}-title`}>
    <header class="section-head">
      <h2 id=${`${id}-title`}>${title}</h2>
      ${aside && html`<p class="aside">${aside}</p>`}
    </header>
    ${children}
  </section>`
}

/** What costs much is asked for while it is in view. @param {{ current: HTMLElement | null }} place */
export function useVisible(place) {
  const [isVisible, setVisible] = useState(false)
  useEffect(() => {
    if (!place.current) return
    const observer = new IntersectionObserver((entries) => setVisible(entries.at(-1)?.isIntersecting === true), {
      rootMargin: '300px',
    })
    observer.observe(place.current)
    return () => observer.disconnect()
  }, [])
  return isVisible
}
