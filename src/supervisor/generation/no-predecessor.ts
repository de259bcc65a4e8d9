/** For an instance that was started, and not by an upgrade. */
import type { GenerationAnswers } from './messages.ts'

export const NO_ELDERS: GenerationAnswers = {
  readings: () => Promise.resolve([]),
  facts: () => Promise.resolve([]),
  sessions: () => Promise.resolve([]),
  endSessions: () => Promise.resolve([]),
  trace: () => Promise.resolve([]),
}
