/** What a generation reports to the next one for `/metrics`. Pure. */
import type { Reading } from '../../metrics/readings.ts'

/** Gauges of an instance as a whole, which the newest generation has for all of them: a sum would count the instance twice. */
const OF_THE_INSTANCE = /^mailmux_(?:build_info|config_.*|instances|generation|moves_running|workers)$/u

/** @returns the reading without what the newest generation alone reports */
export function forSuccessor(reading: Reading): Reading {
  return reading.filter(({ name, type }) => String(type) !== 'gauge' || !OF_THE_INSTANCE.test(name))
}
