/** Durations as operators write them, in YAML and in the directory. */

/** In milliseconds. */
const UNITS = new Map([
  ['ms', 1],
  ['s', 1000],
  ['m', 60_000],
  ['h', 3_600_000],
])

/** `500ms`, `30s`, `10m`, `24h`. Whole numbers only: `1500ms`, not `1.5s`. @returns milliseconds; undefined for another form */
export function readDuration(text: string): number | undefined {
  // Fifteen digits stay exact in a double. What is larger is out of every bound.
  const match = /^(?<digits>\d{1,15})(?<unit>[a-z]+)$/u.exec(text)
  const unit = UNITS.get(match?.groups?.unit ?? '')
  return unit === undefined ? undefined : Number(match?.groups?.digits) * unit
}
