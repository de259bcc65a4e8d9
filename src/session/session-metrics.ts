/** Metrics of sessions and logins, and the counter of local shortages that logins met. */
import type { NoteShortage } from '../errors.ts'
import { codeOf } from '../limits/rejection.ts'
import type { LoginOutcome, Metrics } from '../metrics/metrics.ts'
import type { Refusal } from '../protocol/protocol.ts'
import type { Subscriber } from './events.ts'

export function subscribeMetrics(metrics: Metrics): Subscriber {
  return (event) => {
    switch (event.type) {
      case 'turned-away':
        return metrics.connectionRejected('too-many-connections')
      case 'rejected':
        metrics.connectionRejected(codeOf(event.rejection))
        return metrics.limitHit(event.rejection.limit)
      case 'accepted': {
        const { protocol, name } = event.session.listener
        return metrics.connectionAccepted(protocol, name)
      }
      case 'limit-hit':
        return metrics.limitHit(event.limit)
      case 'secured':
        return metrics.handshakeEnded(event.version, event.resumed, 'ok')
      case 'handshake-failed':
        return metrics.handshakeEnded('none', false, 'failed')
      case 'route-looked-up':
        return metrics.routeDecided(event.source, event.tookMs)
      case 'logged-in':
      case 'login-refused': {
        const { record, session, attempt } = event.login
        const { protocol } = session.listener
        if (record.backend !== undefined) metrics.loginTook(protocol, record.backend, event.tookMs)
        const outcome = event.type === 'logged-in' ? 'accepted' : outcomeOf(event.refused.refusal)
        return metrics.loginEnded(protocol, attempt.mechanism, outcome)
      }
      case 'relay-started': {
        const { listener, login } = event.session
        return metrics.sessionStarted(listener.protocol, login?.backend ?? '')
      }
      case 'relay-ended': {
        const { listener, login } = event.session
        return metrics.sessionEnded(listener.protocol, login?.backend ?? '', event.tookMs)
      }
      case 'ended': {
        const { cause } = event.ending
        metrics.connectionEnded(cause)
        if (event.detail !== undefined && cause !== 'client-closed') metrics.connectionRejected(cause)
        return
      }
      default: // events that have a line and no metric
        return undefined
    }
  }
}

/** A shortage of this machine is the fault of no back end and no directory. */
export function subscribeShortages(noteShortage: NoteShortage): Subscriber {
  return (event) => {
    if (event.type === 'dial-failed' && event.error.code === 'local-shortage')
      noteShortage('backend', event.error.message)
    if (event.type === 'login-refused' && event.refused.code === 'local-shortage')
      noteShortage(event.login.record.backend === undefined ? 'directory' : 'backend', event.refused.detail)
  }
}

function outcomeOf({ reason }: Refusal): LoginOutcome {
  return reason === 'unavailable' || reason === 'misconfigured' || reason === 'disabled' ? reason : 'refused'
}
