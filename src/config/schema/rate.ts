/** How often something may happen, as text: `60/1m`. */
import { readDuration } from '../../duration.ts'
import type { Rate } from '../settings.ts'
import type { Parsed } from './values.ts'

const MOST_COUNT = 1_000_000
/** Longer than a day would be a quota, which should outlive a restart. */
const LONGEST_MS = 86_400_000

export function parseRate(text: string): Parsed<string> {
  const rate = readRate(text)
  if (rate === undefined) return { wrong: 'not a rate: write it as 60/1m, 10/1s or 500/1h' }
  if (rate.count < 1 || rate.count > MOST_COUNT) return { wrong: `the number must lie between 1 and ${MOST_COUNT}` }
  if (rate.perMs < 1000 || rate.perMs > LONGEST_MS) return { wrong: 'the time must lie between 1s and 24h' }
  return { value: text }
}

/** @returns undefined for what is no rate */
export function readRate(text: string): Rate | undefined {
  const { count, per } = /^(?<count>\d{1,9})\/(?<per>\w+)$/u.exec(text)?.groups ?? {}
  const perMs = per === undefined ? undefined : readDuration(per)
  return perMs === undefined ? undefined : { count: Number(count), perMs }
}
