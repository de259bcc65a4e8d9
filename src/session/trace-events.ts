/** What a trace tells of a session beside its conversation. Subscribed only while a trace is in force. */
import { keyOf } from '../backend/endpoint/addresses.ts'
import type { Traces } from '../trace/traces.ts'
import type { SessionEvent, SessionEvents, Subscriber } from './events.ts'

/** Has `events` tell the traces while there are any. */
export function followTraces(traces: Pick<Traces, 'onChange'>, events: Pick<SessionEvents, 'attach'>): void {
  let detach: (() => void) | undefined
  traces.onChange((isOn) => {
    detach?.()
    detach = isOn ? events.attach(noteEvent) : undefined
  })
}

/** Exported for its test. */
export const noteEvent: Subscriber = (event) => {
  if ('session' in event) {
    const text = describeSession(event)
    if (text !== undefined) event.session.trace?.note(text)
  } else if ('login' in event) {
    const { trace } = event.login.session
    if (trace) trace.note(describeLogin(event))
  }
}

type SessionOnly = Extract<SessionEvent, { session: unknown }>
type LoginOnly = Extract<SessionEvent, { login: unknown }>

function describeSession(event: SessionOnly): string | undefined {
  const { session } = event
  switch (event.type) {
    case 'accepted': {
      const { client, local } = session.connection
      return `accepted ${client.address} port ${client.port} on ${session.listener.name} (${local.address} port ${local.port})`
    }
    case 'phase-entered': {
      const { tlsVersion: tls, cipher } = session.connection
      return `phase ${session.phase}${session.phase === 'login' && tls !== undefined ? ` with ${tls} ${cipher ?? ''}` : ''}`
    }
    case 'failed':
      return 'defect of mailmux, see the log'
    case 'ended': {
      const { cause, bytesFromClient, bytesFromBackend } = event.ending
      session.trace?.tellCounts()
      return `ended: ${cause}${event.detail === undefined ? '' : `: ${event.detail}`}; ${bytesFromClient} octets from the client, ${bytesFromBackend} from the back end`
    }
    default: // the phases tell it
      return undefined
  }
}

/** Its texts of a back end hold no secret, as those of the log. */
function describeLogin(event: LoginOnly): string {
  const { record } = event.login
  switch (event.type) {
    case 'route-looked-up':
      return `route looked up: ${event.source} (${Math.round(event.tookMs)} ms)`
    case 'route-decided': {
      const { route } = event
      if ('refusal' in route)
        return `routing refuses ${record.user ?? 'the name'}: ${route.refusal.reason}: ${route.detail}`
      return `${record.user ?? 'the user'} belongs to ${record.backend ?? route.backend.settings.name}`
    }
    case 'backend-answered': {
      const { attempt, address, answer, tookMs } = event
      const said = answer.accepted ? 'accepts' : `refuses: ${answer.refusal.reason}`
      return `attempt ${attempt}: ${record.backend ?? ''} at ${keyOf(address)} ${said} (${Math.round(tookMs)} ms)`
    }
    case 'attempt-failed':
      return `attempt ${event.attempt}: ${record.backend ?? ''} fails: ${event.error.code}: ${event.error.message}`
    case 'logged-in':
      return `login accepted by ${record.backend ?? ''} at ${keyOf(event.address)} (${Math.round(event.tookMs)} ms)`
    case 'login-refused': {
      const { refusal, code, detail } = event.refused
      return `login refused: ${refusal.reason}${code === undefined ? '' : `, ${code}`}: ${detail} (${Math.round(event.tookMs)} ms)`
    }
  }
}
