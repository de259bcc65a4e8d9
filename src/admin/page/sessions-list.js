/** Which sessions the table shows, and in which order. Pure. */

/** @typedef {import('../answers.ts').SessionAnswer} SessionAnswer */

/** @typedef {'ageSeconds' | 'idleSeconds' | 'user' | 'client' | 'backend'} SortKey */

/**
 * Those that have each word of the search somewhere, in any case.
 * @param {readonly SessionAnswer[]} sessions @param {string} search
 */
export function filterSessions(sessions, search) {
  const words = search
    .toLowerCase()
    .split(/\s+/u)
    .filter((word) => word !== '')
  if (words.length === 0) return sessions
  return sessions.filter((one) => {
    const text =
      `${one.user ?? ''}\n${one.client}\n${one.backend ?? ''}\n${one.listener}\n${one.protocol}\n${one.phase}\n${one.id}\n${one.instance ?? ''}`.toLowerCase()
    return words.every((word) => text.includes(word))
  })
}

/** @param {readonly SessionAnswer[]} sessions @param {SortKey} key @param {boolean} isRising @returns {SessionAnswer[]} */
export function sortSessions(sessions, key, isRising) {
  const sign = isRising ? 1 : -1
  return [...sessions].sort((a, b) => {
    const [one, other] = [a[key], b[key]]
    // Sessions without a value come last in either order.
    if (one === undefined || other === undefined) return Number(one === undefined) - Number(other === undefined)
    return sign * (one < other ? -1 : one > other ? 1 : 0)
  })
}
