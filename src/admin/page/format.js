/** Numbers and times as people read them. Pure. */

/** @param {number} value */
export function formatCount(value) {
  return Math.round(value).toLocaleString('en-GB')
}

/** `1 session`, `2 sessions`. @param {number} count @param {string} what @param {string} [plural] */
export function formatMany(count, what, plural = `${what}s`) {
  return `${formatCount(count)} ${count === 1 ? what : plural}`
}

/** @param {number | null | undefined} value of a second */
export function formatRate(value) {
  if (value === null || value === undefined) return '–'
  if (value === 0) return '0'
  if (value < 0.1) return '< 0.1'
  return value < 10 ? value.toFixed(1) : formatCount(value)
}

const BYTE_UNITS = ['B', 'kB', 'MB', 'GB', 'TB']

/** @param {number | null | undefined} bytes */
export function formatBytes(bytes) {
  if (bytes === null || bytes === undefined) return '–'
  let value = bytes
  let unit = 0
  while (value >= 999.5 && unit < BYTE_UNITS.length - 1) {
    value /= 1000
    unit++
  }
  return `${value < 10 && unit > 0 ? value.toFixed(1) : Math.round(value)} ${BYTE_UNITS[unit]}`
}

/** @param {number | null | undefined} ms */
export function formatLatency(ms) {
  if (ms === null || ms === undefined) return '–'
  if (ms === 0) return '0 ms'
  if (ms < 10) return `${ms.toFixed(1)} ms`
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}

const STEPS = /** @type {const} */ ([
  ['d', 86_400],
  ['h', 3600],
  ['min', 60],
  ['s', 1],
])

/** The two largest units: `3 h 5 min`. @param {number} seconds */
export function formatDuration(seconds) {
  let rest = Math.max(0, Math.floor(seconds))
  const parts = []
  for (const [unit, size] of STEPS) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) parts.push(`${count} ${unit}`)
    else if (parts.length > 0) break
    if (parts.length === 2) break
  }
  return parts.length === 0 ? '0 s' : parts.join(' ')
}

/** @param {number} atMs @param {number} nowMs */
export function formatAgo(atMs, nowMs) {
  return `${formatDuration((nowMs - atMs) / 1000)} ago`
}

/** In the time zone of the browser. @param {number} ms of the epoch */
export function formatTime(ms) {
  return new Date(ms).toLocaleString('en-GB', { dateStyle: 'medium', timeStyle: 'medium' })
}

/** @param {number} ms of the epoch */
export function formatDate(ms) {
  return new Date(ms).toLocaleDateString('en-GB', { dateStyle: 'medium' })
}

/** Whole days; negative once it is over. @param {number} untilMs @param {number} nowMs */
export function daysLeft(untilMs, nowMs) {
  return Math.floor((untilMs - nowMs) / 86_400_000)
}

/** As `src/printable.ts`: characters that act on the reader, such as marks that change the direction of text. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\\]/gu

/** Text from outside, with each such character as `\u{202e}`. @param {string} text */
export function printable(text) {
  return text.replace(UNPRINTABLE, (one) => (one === '\\' ? '\\\\' : `\\u{${(one.codePointAt(0) ?? 0).toString(16)}}`))
}
