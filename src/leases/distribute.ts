/** The fair division of one limit among holders that need parts of it. Pure. */

export type Need = {
  used: number
  /** what the holder uses and waits for */
  need: number
}

/**
 * Each holder gets what it needs if that is possible, and an equal part of the rest, so that it can begin at once with more. If all
 * together need more than there is, the division is max-min fair: no holder gets more than another one that is short. Parts that cannot
 * be divided equally go to the holders that use least. Among equals they change hands with each turn, so that none waits for ever.
 *
 * @param needs of all holders, in an order that everyone who computes the division uses
 * @param turn a number that grows with time
 * @returns the part of each; their sum is the limit
 */
export function distribute(limit: number, needs: readonly Need[], turn: number): number[] {
  const parts = needs.map(() => 0)
  if (needs.length === 0) return parts
  const missing = (index: number): number => (needs[index]?.need ?? 0) - (parts[index] ?? 0)
  const all = [...parts.keys()]
  let left = limit
  let unmet = all
  while (left > 0 && unmet.length > 0) {
    const each = Math.floor(left / unmet.length)
    const small = unmet.filter((index) => missing(index) <= each)
    for (const index of small.length > 0 ? small : unmet) {
      const more = small.length > 0 ? missing(index) : each
      parts[index] = (parts[index] ?? 0) + more
      left -= more
    }
    if (small.length === 0) return addOneEach(parts, left, inOrder(needs, unmet, turn))
    unmet = unmet.filter((index) => missing(index) > 0)
  }
  const spare = Math.floor(left / needs.length)
  const shared = parts.map((part) => part + spare)
  return addOneEach(shared, left - spare * needs.length, all)
}

function inOrder(needs: readonly Need[], some: readonly number[], turn: number): number[] {
  const used = (index: number): number => needs[index]?.used ?? 0
  const place = (index: number): number => (index + turn) % needs.length
  return some.toSorted((a, b) => used(a) - used(b) || place(a) - place(b))
}

function addOneEach(parts: number[], count: number, order: readonly number[]): number[] {
  for (const index of order.slice(0, count)) parts[index] = (parts[index] ?? 0) + 1
  return parts
}
