/**
 * Spans of logins for OpenTelemetry. It needs @opentelemetry/api and an SDK that the operator sets up before it, for example
 *
 *   node --import ./otel-sdk.mjs --import /usr/share/mailmux/contrib/otel.mjs main.js run -c mailmux.yaml
 *
 * See docs/tracing-otel.md. The names of users are attributes only with MAILMUX_OTEL_USERS=1.
 */
import { tracingChannel } from 'node:diagnostics_channel'
import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'

const tracer = trace.getTracer('mailmux')
const tellsUsers = process.env.MAILMUX_OTEL_USERS === '1'

/** The span of each step that is open. A step that never ends keeps no memory. */
const spans = new WeakMap()

const OUTWARDS = new Set(['dial', 'replay'])

function attributesOf({ session, protocol, listener, client, user, backend, tls, outcome }) {
  return {
    'mailmux.session': session,
    'mailmux.protocol': protocol,
    'mailmux.listener': listener,
    'client.address': client,
    ...(tellsUsers && user !== undefined && { 'enduser.id': user }),
    ...(backend !== undefined && { 'mailmux.backend': backend }),
    ...(tls !== undefined && { 'tls.protocol.version': tls }),
    ...(outcome !== undefined && { 'mailmux.outcome': outcome }),
  }
}

tracingChannel('mailmux:login').subscribe({
  start(step) {
    const parent = step.parent && spans.get(step.parent)
    const kind = step.parent ? (OUTWARDS.has(step.step) ? SpanKind.CLIENT : SpanKind.INTERNAL) : SpanKind.SERVER
    const within = parent ? trace.setSpan(context.active(), parent) : context.active()
    spans.set(step, tracer.startSpan(`mailmux ${step.step}`, { kind, attributes: attributesOf(step) }, within))
  },
  error(step) {
    const { code } = step.error
    spans.get(step)?.setAttribute('error.type', code).setStatus({ code: SpanStatusCode.ERROR, message: code })
  },
  asyncEnd(step) {
    spans.get(step)?.setAttributes(attributesOf(step)).end()
  },
})
