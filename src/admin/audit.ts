/** The log of what operators have done: each line is an event too. */
import type { Log } from '../log.ts'
import type { Events } from './events.ts'

/** A log for the routes of the API. What stands in a line is in the event, so that neither has a secret. */
export type AuditLog = Pick<Log, 'info'>

export function createAuditLog(log: Log, publish: Events['publish']): AuditLog {
  return {
    info(fields: object, message?: string) {
      log.info(fields, message)
      publish('audit', { message, ...fields })
    },
  }
}
