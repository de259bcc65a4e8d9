/** The clock of a move that runs. */
import { sleep, systemAlarm } from '../clock.ts'
import type { MoveClock } from './step.ts'

export const systemClock: MoveClock = {
  nowMs: () => performance.now(),
  sleep: (ms, signal) => sleep(systemAlarm, ms, signal),
}
