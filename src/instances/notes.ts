/** Log lines of the exchange between instances: faults once for each change, ignored messages once a minute. */
import type { Log } from '../log.ts'
import { createLogLimit } from '../log-limit.ts'
import type { Step } from './exchange.ts'

/** Why a message is ignored. */
export type NoteDropped = (why: 'malformed' | 'too-many') => void

export function createDropNotes(log: Log): NoteDropped {
  const limit = createLogLimit<string>()
  return (why) => {
    const others = limit(why)
    if (others) log.warn({ why, ...others }, 'message between instances ignored')
  }
}

/**
 * An outage of Redis is one line and its end is one line, however many commands fail and for whatever causes. A right that the Redis user
 * lacks is one line for each command. Neither affects mail.
 * @returns takes each result of a command
 */
export function createFaultNotes(log: Log): (step: Step, cause: string | undefined) => void {
  const faults = new Map<Step, string>()
  return (step, cause) => {
    const before = faults.get(step)
    if (cause === undefined) {
      if (faults.delete(step)) log.info({ step }, 'exchange between instances works again')
      return
    }
    faults.set(step, cause)
    if (before === undefined || (step !== 'connection' && before !== cause))
      log.warn({ step, cause }, 'exchange between instances fails')
  }
}
