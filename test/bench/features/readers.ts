/** Operators of a mailmux that is measured: they use its API until they are told to stop. */
import { setTimeout as delay } from 'node:timers/promises'

/** A trace ends after ten seconds without an order. */
const ORDER_EVERY_MS = 2000

const TRACE = { id: '00000000000000ab', user: 'nobody@example.test', for: '1h', by: 'bench' }

/** Throws when the first order is refused; a later one may find that mailmux is stopping. */
export async function repeatTrace(api: string, token: string): Promise<() => Promise<void>> {
  const stopped = new AbortController()
  const order = async (): Promise<void> => {
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const response = await fetch(`${api}/traces`, { method: 'POST', headers, body: JSON.stringify(TRACE) })
    if (!response.ok) throw new Error(`no trace: ${response.status} ${await response.text()}`)
    await response.arrayBuffer()
  }
  const repeat = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      await delay(ORDER_EVERY_MS, undefined, { signal: stopped.signal })
      await order()
    }
  }
  await order()
  const repeated = repeat().catch(() => undefined)
  return async () => {
    stopped.abort()
    await repeated
  }
}

/** Throws when the stream is refused. */
export async function readEvents(api: string, token: string): Promise<() => Promise<void>> {
  const stopped = new AbortController()
  const headers = { authorization: `Bearer ${token}` }
  const response = await fetch(`${api}/events`, { headers, signal: stopped.signal })
  if (!response.ok || response.body === null) throw new Error(`no events: ${response.status}`)
  const { body } = response
  const read = async (): Promise<void> => {
    for await (const _ of body) if (stopped.signal.aborted) return
  }
  const done = read().catch(() => undefined)
  return async () => {
    stopped.abort()
    await done
  }
}
