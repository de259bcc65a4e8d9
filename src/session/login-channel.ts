/**
 * The steps of logins for programs that follow Node's diagnostics channels, such as contrib/otel.mjs: `tracingChannel('mailmux:login')`. A step
 * publishes `start` and `end` when it begins, and `asyncStart` and `asyncEnd` when it is over, with the same object each time; a step that fails
 * publishes `error` before. Without a subscriber a session asks for that once, and nothing else happens.
 */
import { tracingChannel, type TracingChannel } from 'node:diagnostics_channel'
import type { LoginSession, Phase } from '../login/login.ts'
import type { SessionEvent, SessionEvents } from './events.ts'
import type { Session } from './session.ts'

export const LOGIN_CHANNEL = 'mailmux:login'

/** `login` is the whole, from the acceptance or from a further login of the connection to the result; the others are its parts. */
export type LoginStepName = 'login' | 'accept' | 'tls' | 'route' | 'wait' | 'dial' | 'replay'

/** It holds no credential. The last five are given when they are known. docs/tracing-otel.md has the fields. */
export type LoginStep = {
  step: LoginStepName
  /** the whole that it is a part of */
  parent?: LoginStep
  session: string
  protocol: string
  listener: string
  client: string
  user?: string
  backend?: string
  tls?: string
  /** of `login`: `accepted`, the reason of a refusal, or the cause for which the connection has ended without a login */
  outcome?: string
  error?: { code: string; message: string }
}

const STEPS: Readonly<Partial<Record<Phase, LoginStepName>>> = {
  'proxy-header': 'accept',
  'client-hello': 'accept',
  tls: 'tls',
  routing: 'route',
  waiting: 'wait',
  connecting: 'dial',
  'replaying-login': 'replay',
}

type Open = { login: LoginStep; step: LoginStep | undefined }

export type LoginChannel = {
  /** whether there are subscribers, as `follow` has found */
  readonly isOn: boolean
  /** To be called for each new session: subscribers may come and go. */
  follow(): void
}

export function createLoginChannel(events: () => Pick<SessionEvents, 'attach'>): LoginChannel {
  const channel: TracingChannel<object, LoginStep> = tracingChannel(LOGIN_CHANNEL)
  let detach: (() => void) | undefined
  return {
    get isOn() {
      return detach !== undefined
    },
    follow() {
      if (channel.hasSubscribers === (detach !== undefined)) return
      if (detach) {
        detach()
        detach = undefined
      } else detach = events().attach(publishSteps(channel))
    },
  }
}

/** Exported for its test. */
export function publishSteps(channel: TracingChannel<object, LoginStep>): (event: SessionEvent) => void {
  const open = new WeakMap<LoginSession, Open>()

  function begin(session: LoginSession, step: LoginStepName, parent?: LoginStep): LoginStep {
    const begun: LoginStep = {
      step,
      ...(parent && { parent }),
      session: session.id,
      protocol: session.listener.protocol,
      listener: session.listener.name,
      client: session.connection.client.address,
    }
    channel.start.publish(begun)
    channel.end.publish(begun)
    return begun
  }

  function end(step: LoginStep | undefined, session: LoginSession): void {
    if (!step) return
    const { tlsVersion } = session.connection
    if (tlsVersion !== undefined) step.tls = tlsVersion
    channel.asyncStart.publish(step)
    channel.asyncEnd.publish(step)
  }

  function openOf(session: LoginSession): Open {
    let steps = open.get(session)
    if (!steps) open.set(session, (steps = { login: begin(session, 'login'), step: undefined }))
    return steps
  }

  function endStep(session: LoginSession, error?: { code: string; message: string }): void {
    const steps = open.get(session)
    if (!steps?.step) return
    if (error) {
      steps.step.error = error
      channel.error.publish(steps.step)
    }
    end(steps.step, session)
    steps.step = undefined
  }

  function enter(session: LoginSession, name: LoginStepName | undefined): void {
    // After a refusal the client may take its time: the next login begins with its next step.
    if (name === undefined) return endStep(session)
    const steps = openOf(session)
    endStep(session)
    steps.step = begin(session, name, steps.login)
  }

  function finish(session: LoginSession, outcome: string, error?: { code: string; message: string }): void {
    const steps = open.get(session)
    if (!steps) return
    endStep(session, error)
    const { login } = steps
    login.outcome = outcome
    if (error) {
      login.error = error
      channel.error.publish(login)
    }
    end(login, session)
    open.delete(session)
  }

  function tell(session: LoginSession, facts: { user: string | undefined; backend: string | undefined }): void {
    const steps = open.get(session)
    for (const step of [steps?.login, steps?.step]) {
      if (step && facts.user !== undefined) step.user = facts.user
      if (step && facts.backend !== undefined) step.backend = facts.backend
    }
  }

  return (event) => {
    switch (event.type) {
      case 'accepted':
        return enter(event.session, 'accept')
      case 'phase-entered':
        return enterPhase(event.session)
      case 'route-decided':
        return tell(event.login.session, event.login.record)
      case 'attempt-failed':
        return endStep(event.login.session, { code: event.error.code, message: event.error.message })
      case 'logged-in':
        tell(event.login.session, event.login.record)
        return finish(event.login.session, 'accepted')
      case 'login-refused': {
        const { refusal, code, detail } = event.refused
        tell(event.login.session, event.login.record)
        return finish(event.login.session, refusal.reason, code && { code, message: detail })
      }
      case 'ended':
        return finish(event.session, event.ending.cause)
      default: // no step begins or ends
        return undefined
    }
  }

  function enterPhase(session: Session): void {
    const { phase, login } = session
    // `accept` has begun already, where the client has no PROXY header.
    if (phase === 'relaying' || (phase === 'client-hello' && open.get(session)?.step?.step === 'accept')) return
    enter(session, STEPS[phase])
    if (login) tell(session, login)
  }
}
