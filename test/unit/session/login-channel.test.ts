/** The steps of logins on the diagnostics channel, and the spans that contrib/otel.mjs makes of them. */
import assert from 'node:assert/strict'
import { tracingChannel } from 'node:diagnostics_channel'
import { test } from 'node:test'
import { trace } from '@opentelemetry/api'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { MuxError } from '../../../src/errors.ts'
import { SessionEvents, type SessionEvent } from '../../../src/session/events.ts'
import { createLoginChannel, LOGIN_CHANNEL, type LoginStep } from '../../../src/session/login-channel.ts'
import type { Session } from '../../../src/session/session.ts'
import type { Login } from '../../../src/login/login.ts'

type Facts = { user?: string; backend?: string; tlsVersion?: string }

/** A session in a phase. */
function session(facts: Facts = {}): Session & { phase: string } {
  const record = { number: 1, user: facts.user, backend: facts.backend }
  return {
    id: 'a-1',
    phase: 'login',
    listener: { name: 'imaps', protocol: 'imap' },
    connection: { client: { address: '192.0.2.7', port: 4711 }, tlsVersion: facts.tlsVersion },
    login: record,
  } as unknown as Session & { phase: string }
}

/** Plays the events of a session, one for each word. */
function play(emit: (event: SessionEvent) => void, one: Session & { phase: string }, words: readonly string[]): void {
  const login = { session: one, record: one.login, attempt: {} } as unknown as Login
  for (const word of words) {
    if (word === 'accepted') emit({ type: 'accepted', session: one })
    else if (word === 'logged-in') emit({ type: 'logged-in', login, tookMs: 1 } as SessionEvent)
    else if (word === 'refused')
      emit({
        type: 'login-refused',
        login,
        refused: { accepted: false, refusal: { reason: 'authentication-failed' }, detail: 'wrong' },
        tookMs: 1,
      })
    else if (word === 'failed')
      emit({ type: 'attempt-failed', login, attempt: 1, error: new MuxError('backend-timeout', 'no answer') })
    else if (word === 'ended')
      emit({
        type: 'ended',
        session: one,
        ending: { cause: 'logout', bytesFromClient: 0, bytesFromBackend: 0 },
        detail: undefined,
      })
    else {
      one.phase = word as Session['phase']
      emit({ type: 'phase-entered', session: one, isFirst: false })
    }
  }
}

const WHOLE = [
  'accepted',
  'tls',
  'login',
  'routing',
  'connecting',
  'failed',
  'connecting',
  'replaying-login',
  'logged-in',
  'relaying',
  'ended',
]

function setUp() {
  const events = new SessionEvents([])
  const channel = createLoginChannel(() => events)
  return { channel, emit: (event: SessionEvent) => events.emit(event) }
}

test('publishes nothing, and subscribes to no event, without a subscriber', () => {
  const { channel } = setUp()
  channel.follow()
  assert.equal(channel.isOn, false)
})

test('publishes each step of a login with its parent, and none after the last subscriber has gone', () => {
  const { channel, emit } = setUp()
  const told: string[] = []
  const note = (what: string) => (message: unknown) => {
    const step = message as LoginStep
    told.push(
      `${what} ${step.parent ? `${step.parent.step}/` : ''}${step.step}${step.outcome ? ` ${step.outcome}` : ''}`,
    )
  }
  const ignore = (): void => undefined
  const handlers = { start: note('+'), end: ignore, asyncStart: ignore, asyncEnd: note('-'), error: note('!') }
  tracingChannel(LOGIN_CHANNEL).subscribe(handlers)
  channel.follow()
  assert.equal(channel.isOn, true)
  play(emit, session({ user: 'alice', backend: 'store1' }), WHOLE)
  assert.deepEqual(told, [
    '+ login',
    '+ login/accept',
    '- login/accept',
    '+ login/tls',
    '- login/tls',
    '+ login/route',
    '- login/route',
    '+ login/dial',
    '! login/dial',
    '- login/dial',
    '+ login/dial',
    '- login/dial',
    '+ login/replay',
    '- login/replay',
    '- login accepted',
  ])
  told.length = 0
  play(emit, session(), ['accepted', 'login', 'routing', 'refused', 'login', 'routing', 'logged-in', 'ended'])
  assert.deepEqual(
    told.filter((line) => /^[+-] login( |$)/.test(line)),
    ['+ login', '- login authentication-failed', '+ login', '- login accepted'],
  )
  told.length = 0
  play(emit, session(), ['accepted', 'login', 'ended'])
  assert.deepEqual(told.at(-1), '- login logout')
  tracingChannel(LOGIN_CHANNEL).unsubscribe(handlers)
  channel.follow()
  assert.equal(channel.isOn, false)
  told.length = 0
  play(emit, session(), WHOLE)
  assert.deepEqual(told, [])
})

test('contrib/otel.mjs makes a span of each step, within one span of the login', async () => {
  const exporter = new InMemorySpanExporter()
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }))
  await import('../../../contrib/otel.mjs')
  const { channel, emit } = setUp()
  channel.follow()
  play(emit, session({ user: 'alice@example.test', backend: 'store1', tlsVersion: 'TLSv1.3' }), WHOLE)
  const spans = exporter.getFinishedSpans()
  assert.deepEqual(
    spans.map(({ name }) => name),
    ['accept', 'tls', 'route', 'dial', 'dial', 'replay', 'login'].map((step) => `mailmux ${step}`),
  )
  const whole = spans.at(-1)
  assert.ok(whole)
  assert.equal(whole.parentSpanContext, undefined)
  assert.deepEqual(whole.attributes, {
    'mailmux.session': 'a-1',
    'mailmux.protocol': 'imap',
    'mailmux.listener': 'imaps',
    'client.address': '192.0.2.7',
    'mailmux.backend': 'store1',
    'tls.protocol.version': 'TLSv1.3',
    'mailmux.outcome': 'accepted',
  })
  for (const part of spans.slice(0, -1)) {
    assert.equal(part.parentSpanContext?.spanId, whole.spanContext().spanId)
    assert.equal(part.spanContext().traceId, whole.spanContext().traceId)
  }
  const [failed] = spans.filter(({ name }) => name === 'mailmux dial')
  assert.equal(failed?.attributes['error.type'], 'backend-timeout')
  assert.ok(
    !JSON.stringify(spans.map(({ attributes }) => attributes)).includes('alice'),
    'no user unless it is asked for',
  )
})
