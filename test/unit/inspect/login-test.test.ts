/** A login on request: its parameters, and the cases without a login. e2e/explain.test.ts tests the outcome. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ListenerSettings } from '../../../src/config/settings.ts'
import { MuxError } from '../../../src/errors.ts'
import { SYSTEM_CLOCK } from '../../../src/login/clock.ts'
import type { LoginServices } from '../../../src/login/login.ts'
import { SessionEvents } from '../../../src/session/events.ts'
import { subscribeLog } from '../../../src/session/session-log.ts'
import { Secret } from '../../../src/secret.ts'
import { testLogin, type LoginTest } from '../../../src/inspect/login-test.ts'
import type { World } from '../../../src/world.ts'
import { keepLog } from '../backend/fixture.ts'
import { listenerSettings } from '../listener/listener-settings.ts'
import { named } from '../../support/user-name.ts'

function open(changes: Partial<ListenerSettings>) {
  const listener = listenerSettings(changes)
  const { log, lines } = keepLog()
  const asked: string[] = []
  const world = {
    settings: { listeners: [listener], limits: { failureDelayMs: 0, backendTimeoutMs: 1000 } },
    listeners: new Map([
      [
        listener.name,
        { settings: listener, passthrough: new Map(listener.passthrough.map(({ name, backend }) => [name, backend])) },
      ],
    ]),
    router: {
      identify: (name: string) => (asked.push(name), named(name)),
      byUser: () => Promise.reject(new MuxError('directory-unavailable', 'away')),
    },
  } as unknown as World
  const logins = { clock: SYSTEM_CLOCK, events: new SessionEvents([subscribeLog(log)]) } as unknown as LoginServices
  const ask = (serverName?: string) =>
    testLogin({ user: 'jürgen', serverName }, new Secret('hunter2'), world, { logins, log })
  return { ask, lines, asked }
}

test('runs the steps of every login, and reports the true reason, also in the log', async () => {
  const { ask, lines, asked } = open({})
  const { session, ms, ...rest } = (await ask()) as LoginTest
  assert.deepEqual(rest, {
    accepted: false,
    phase: 'routing',
    reason: 'unavailable',
    code: 'directory-unavailable',
    detail: 'away',
  })
  assert.match(session, /^try-/)
  assert.ok(ms >= 0)
  assert.deepEqual(asked, ['j\xc3\xbcrgen'], 'in octets, as over the wire')
  assert.deepEqual(
    lines.map((line) => [line.message, line.session]),
    [
      ['login refused', session],
      ['login tried', session],
    ],
  )
  assert.doesNotMatch(JSON.stringify(lines), /hunter2/)
})

test('has no login where TLS is passed through', async () => {
  const passthrough = [{ name: 'sealed.test', backend: 'store-1' }]
  const sealed = await open({ tls: 'passthrough', passthrough }).ask()
  assert.match((sealed as { wrong: string }).wrong, /passed through/)
  const mixed = open({ tls: 'implicit', passthrough })
  assert.match(((await mixed.ask('SEALED.test')) as { wrong: string }).wrong, /passed through/)
  assert.ok('accepted' in (await mixed.ask('other.test')))
})
