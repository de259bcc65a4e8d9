/** What operators do during a run, and when: drawn from a seed before the run begins. */
import { between, createRandom, pick } from './random.ts'
import { STORES, type StoreName } from './site.ts'

/** Users whose routes operators write. Nothing coordinates such a write with the sessions that run. */
export const ROUTED = ['routed1', 'routed2', 'routed3'].map((name) => `${name}@example.test`)
/** Users who change their store by `mailmux move` alone. */
export const MOVED = ['moved1', 'moved2'].map((name) => `${name}@example.test`)

/**
 * `state` lasts for `forMs`, and the key is deleted then. `hold` is taken back after `forMs`; one with a field `hold` whose time runs out
 * by itself after about that time is `expiring`. `move` goes to the store that is `by` places
 * after that of the route, and is killed `killMs` after its check, if it still runs.
 */
export type Order = { atMs: number } & (
  | { kind: 'state'; store: StoreName; state: 'pause' | 'drain' | 'up'; forMs: number }
  | { kind: 'route'; user: string; store: StoreName }
  | { kind: 'hold'; user: string; how: 'endless' | 'token' | 'expiring'; forMs: number }
  | { kind: 'kick'; user: string }
  | { kind: 'move'; user: string; by: 1 | 2; killMs: number | undefined }
)

const LEAST_FOR_MS = 500
const MOST_FOR_MS = 6_000
/** From one order of a lane to the next. */
const LEAST_PAUSE_MS = 2_000
const MOST_PAUSE_MS = 9_000
/** From the check a move takes about three seconds, two of them for the last copy: a kill comes in any of its steps. */
const MOST_KILL_MS = 4_000

/** Orders for `ms` in lanes. Orders of a lane follow each other; lanes do not wait for each other. */
export function planOrders(seed: number, ms: number): Order[][] {
  const random = createRandom(seed ^ 0x0bde7)
  const forMs = (): number => between(random, LEAST_FOR_MS, MOST_FOR_MS)
  const lane = (draw: (atMs: number) => Order): Order[] => {
    const orders: Order[] = []
    for (let atMs = between(random, 500, MOST_PAUSE_MS); ;) {
      const order = draw(atMs)
      const takesMs = 'forMs' in order ? order.forMs : 0
      if (atMs + takesMs > ms) return orders
      orders.push(order)
      atMs += takesMs + between(random, LEAST_PAUSE_MS, MOST_PAUSE_MS)
    }
  }
  return [
    ...STORES.map((store) =>
      lane((atMs) => ({
        atMs,
        kind: 'state',
        store,
        state: pick(random, ['pause', 'pause', 'drain', 'drain', 'up']),
        forMs: forMs(),
      })),
    ),
    ...ROUTED.map((user) =>
      lane((atMs) =>
        random() < 0.5
          ? { atMs, kind: 'route', user, store: pick(random, STORES) }
          : { atMs, kind: 'hold', user, how: pick(random, ['endless', 'token', 'expiring']), forMs: forMs() },
      ),
    ),
    lane((atMs) => ({ atMs, kind: 'kick', user: pick(random, [...ROUTED, ...MOVED]) })),
    ...MOVED.map((user) =>
      lane((atMs) => ({
        atMs,
        kind: 'move',
        user,
        by: pick(random, [1, 2] as const),
        killMs: random() < 0.5 ? between(random, 0, MOST_KILL_MS) : undefined,
      })),
    ),
  ]
}

/** One line for each order, in the order of their beginnings. */
export function describeOrders(lanes: readonly (readonly Order[])[]): string {
  return lanes
    .flat()
    .toSorted((a, b) => a.atMs - b.atMs)
    .map((order) => `${String(order.atMs).padStart(7)} ms: ${describeOrder(order)}`)
    .join('\n')
}

function describeOrder(order: Order): string {
  switch (order.kind) {
    case 'state':
      return `state ${order.state} of ${order.store} for ${order.forMs} ms`
    case 'route':
      return `route of ${order.user} to ${order.store}`
    case 'hold':
      return `hold (${order.how}) of ${order.user} for ${order.forMs} ms`
    case 'kick':
      return `kick ${order.user}`
    case 'move':
      return `move ${order.user} by ${order.by}${order.killMs === undefined ? '' : `, killed ${order.killMs} ms after its check`}`
  }
}
