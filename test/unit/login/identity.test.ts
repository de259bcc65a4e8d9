/** What a back end is told of the client: the proxies that a session may still pass, and the origin in a PROXY header. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Origin } from '../../../src/backend/dialer.ts'
import { createCursor } from '../../../src/backend/endpoint/cursor.ts'
import type { Endpoint } from '../../../src/backend/endpoint/endpoint.ts'
import { newHealth } from '../../../src/backend/health/health.ts'
import { Slot } from '../../../src/backend/admission/slot.ts'
import { MuxError } from '../../../src/errors.ts'
import { logInAtBackend } from '../../../src/login/attempt.ts'
import {
  Login,
  LoginRecord,
  type BackendWire,
  type LoginClient,
  type LoginServices,
  type LoginSession,
} from '../../../src/login/login.ts'
import type { BackendSettings } from '../../../src/config/settings.ts'
import type { World } from '../../../src/world.ts'
import { MemoryWire } from '../../support/memory-wire.ts'
import { backend } from '../backend/fixture.ts'
import { listenerSettings } from '../listener/listener-settings.ts'
import { byPassword } from './login-fixture.ts'
import { VirtualClock } from './virtual-clock.ts'

type Play = {
  ttl?: number
  connection?: Partial<LoginClient>
  settings?: Partial<BackendSettings>
  addresses?: number
  /** the failure of each connection, once it stands */
  failure?: MuxError
}

/** A login at a back end in memory that announces ID and refuses the password. */
async function play({ ttl, connection, settings, addresses = 1, failure }: Play) {
  const clock = new VirtualClock()
  const origins: Origin[] = []
  const failures: unknown[] = []
  const entered: unknown[] = []
  const wires: MemoryWire[] = []
  const endpoints = Array.from({ length: addresses }, (): Endpoint => {
    const address = { host: 'store', ip: '192.0.2.1', port: 143, source: 'address', rank: 0, weight: 1 } as const
    return { protocol: 'imap', address, health: newHealth(0), provenMs: -Infinity, checkDueMs: 0 }
  })
  const dial = (_backend: unknown, _address: unknown, origin: Origin): BackendWire => {
    const wire = new MemoryWire('backend', { secure: true })
    let answered = 0
    const write = wire.write.bind(wire)
    origins.push(origin)
    wires.push(wire)
    return Object.assign(wire, {
      connected: true,
      heard: 0,
      open: () => (failure ? Promise.reject(failure) : wire.send('* OK ready\r\n')),
      close: () => undefined,
      detach: () => assert.fail('detached'),
      write(text: string) {
        write(text)
        for (const line of wire.written.split('\r\n').slice(answered, -1)) {
          answered++
          const [tag = ''] = line.split(' ')
          const untagged = / CAPABILITY/.test(line) ? '* CAPABILITY IMAP4rev1 ID SASL-IR AUTH=PLAIN\r\n' : ''
          void wire.send(`${untagged}${tag} ${/ AUTH/.test(line) ? 'NO' : 'OK'} done\r\n`)
        }
      },
    })
  }
  const keeper = { giveBack: () => undefined, pause: () => undefined, resume: (slot: Slot) => Promise.resolve(slot) }
  const services = {
    clock,
    dial,
    events: { wantsDetails: false, emit: () => undefined },
    states: { of: () => undefined },
    backends: {
      of: () => ({
        enter: (...of: unknown[]) => {
          entered.push(...of)
          return Promise.resolve(createCursor(() => endpoints, { isTrial: false, leave: () => undefined }))
        },
        succeeded: () => undefined,
        failed: (_endpoint: unknown, of: unknown) => void failures.push(of),
      }),
    },
    admissions: { isOpen: () => true, enter: () => new Slot(keeper, undefined) },
  } as unknown as LoginServices
  const session = {
    id: 's',
    listener: listenerSettings({ protocol: 'imap' }),
    connection: {
      client: { address: '192.0.2.99', port: 1 },
      local: { address: '198.51.100.1', port: 143 },
      isGone: false,
      secure: false,
      serverName: undefined,
      tlsVersion: undefined,
      ...connection,
    },
    stillTrying: () => undefined,
    onEnding: () => () => undefined,
  } as unknown as LoginSession
  const attempt = { ...byPassword('alice'), ttl }
  const world = { settings: { limits: { backendTimeoutMs: 10_000 } } } as unknown as World
  const record = new LoginRecord(1)
  record.user = 'alice'
  const login = new Login(session, record, attempt, world, services)
  const route = {
    backend: backend({ forwardIdentity: true, ...settings }),
    source: 'static',
    login: { user: attempt.user, credentials: attempt.credentials, startTls: false, preamble: [], proxyHeader: false },
  } as Parameters<typeof logInAtBackend>[1]
  // No time passes: the deadline of the attempt cannot come before an answer that takes some turns of the event loop.
  const outcome = await logInAtBackend(login, route).catch((error: unknown) => error)
  const told = wires.map(({ written }) => /"x-proxy-ttl" "(\d+)"/.exec(written)?.[1])
  return { outcome, told, origins, failures, entered }
}

test('lets a session pass six proxies in all, whatever the one before has put', async () => {
  for (const [ttl, told] of [
    [undefined, '6'],
    [7, '6'],
    [100, '6'],
    [6, '5'],
    [2, '1'],
  ] as const)
    assert.deepEqual((await play(ttl === undefined ? {} : { ttl })).told, [told], `after ${ttl}`)
})

test('ends a loop of proxies before a connection is made', async () => {
  for (const ttl of [0, 1]) {
    const { outcome, origins } = await play({ ttl })
    assert.ok(outcome instanceof MuxError)
    assert.deepEqual([outcome.code, origins], ['proxy-loop', []])
  }
})

test('puts the client and its TLS into the origin', async () => {
  const source = { address: '192.0.2.99', port: 1 }
  const destination = { address: '198.51.100.1', port: 143 }
  const clear = { source, destination, authority: undefined, alpn: undefined, ssl: undefined, uniqueId: undefined }
  assert.deepEqual((await play({})).origins, [clear])
  const secure = { secure: true, serverName: 'mail.test', tlsVersion: 'TLSv1.3' }
  assert.deepEqual((await play({ connection: secure })).origins, [
    {
      ...clear,
      authority: 'mail.test',
      alpn: 'imap',
      ssl: { clientTls: true, verified: false, version: 'TLSv1.3' },
    },
  ])
  // TLS that ended in front of mailmux, at a proxy that does not tell its version.
  const told = (await play({ connection: { secure: true } })).origins
  assert.deepEqual(told, [{ ...clear, alpn: 'imap', ssl: { clientTls: true, verified: false } }])
})

test('attributes a failure to the client where a PROXY header has named it', async () => {
  const failure = new MuxError('backend-certificate', 'as scripted')
  const of = { by: 'login', code: 'backend-certificate' }
  assert.deepEqual((await play({ failure })).failures, [{ ...of, client: undefined }])
  const client = { client: '192.0.2.99', user: 'alice' }
  const named = await play({ failure, settings: { proxyProtocol: 'v2' } })
  assert.deepEqual(named.failures, [{ ...of, client }])
})

test('asks for the addresses of the user, within the configured time', async () => {
  assert.deepEqual((await play({})).entered, ['imap', 'alice', 10_000])
})

test('reports a back end without an address as down', async () => {
  const { outcome } = await play({ addresses: 0 })
  assert.ok(outcome instanceof MuxError)
  assert.equal(outcome.code, 'backend-down')
})
