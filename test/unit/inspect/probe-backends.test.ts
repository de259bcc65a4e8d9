import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import type { Lookup } from '../../../src/backend/endpoint/lookup.ts'
import type { BackendSettings } from '../../../src/config/settings.ts'
import { probeBackends } from '../../../src/inspect/probe-backends.ts'
import { freePort } from '../../support/ports.ts'
import { backendSettings } from '../backend/fixture.ts'

/** @returns the port of a server that says `greeting`, and then one line for each line; nothing where `greeting` is undefined */
async function peer(t: TestContext, greeting: string | undefined, answer = (line: string) => line): Promise<number> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    if (greeting !== undefined) socket.write(`${greeting}\r\n`)
    socket.on('data', (bytes) => {
      for (const line of bytes.toString().split('\r\n')) if (line !== '') socket.write(answer(line))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

const imapAnswer = (line: string): string => {
  const tag = line.split(' ')[0] ?? ''
  return /capability/iu.test(line) ? `* CAPABILITY IMAP4rev1\r\n${tag} OK done\r\n` : `${tag} OK done\r\n`
}
const pop3Answer = (line: string): string => (line === 'CAPA' ? '+OK\r\nUSER\r\n.\r\n' : '+OK\r\n')

const noLookup: Lookup = {
  addresses: () => Promise.reject(new Error('no name was to be looked up')),
  services: () => Promise.reject(new Error('no name was to be looked up')),
}

async function probe(changes: Partial<BackendSettings>, lookup = noLookup) {
  const settings = backendSettings({ hosts: ['127.0.0.1'], ...changes })
  const { findings } = await probeBackends({ backends: new Map([[settings.name, settings]]), resolvers: [] }, lookup)
  for (const { which, path } of findings)
    assert.deepEqual([which, ...path.slice(0, 2)], ['routing', 'backends', 'store-1'])
  return findings.map(({ severity, message }) => `${severity}: ${message}`)
}

test('finds nothing wrong with back ends that greet', async (t) => {
  const ports = { imap: await peer(t, '* OK ready', imapAnswer), pop3: await peer(t, '+OK ready', pop3Answer) }
  assert.deepEqual(await probe({ ports }), [])
})

test('reports each protocol of a dead back end by itself', async (t) => {
  const [imap, pop3] = [await freePort(), await peer(t, '+OK ready', pop3Answer)]
  assert.deepEqual(await probe({ ports: { imap, pop3 } }), [
    `error: back end store-1, imap at 127.0.0.1:${imap}: backend-refused: cannot connect to 127.0.0.1:${imap}: ECONNREFUSED`,
  ])
})

test('counts each address by its protocol, and names those that fail', async (t) => {
  const [imap, pop3] = [await freePort(), await peer(t, '+OK ready', pop3Answer)]
  const settings = backendSettings({ hosts: ['127.0.0.1'], ports: { imap, pop3 } })
  const backends = new Map([[settings.name, settings]])
  const { groups } = await probeBackends({ backends, resolvers: [] }, noLookup)
  assert.deepEqual(groups, [
    { group: 'back ends, imap', tested: 1, failed: [`store-1 at 127.0.0.1:${imap}`], unclear: [] },
    { group: 'back ends, pop3', tested: 1, failed: [], unclear: [] },
  ])
})

test('reports another protocol than the configured one', async (t) => {
  const imap = await peer(t, 'SSH-2.0-OpenSSH_9.2')
  const [told = '', ...more] = await probe({ ports: { imap } })
  assert.match(told, /^error: back end store-1, imap at 127\.0\.0\.1:\d+: backend-garbage: /u)
  assert.deepEqual(more, [])
})

test('gives up after the timeout of the health check', async (t) => {
  const imap = await peer(t, undefined)
  const { health } = backendSettings()
  assert.deepEqual(await probe({ ports: { imap }, health: { ...health, timeoutMs: 200 } }), [
    `error: back end store-1, imap at 127.0.0.1:${imap}: backend-timeout: no answer to a check within 200 ms`,
  ])
})

test('asks no more than the configured check does, and never logs in', async (t) => {
  const lines: string[] = []
  const imap = await peer(t, '* OK ready', (line) => {
    lines.push(line)
    return imapAnswer(line)
  })
  const silent = await peer(t, undefined)
  const { health } = backendSettings()
  assert.deepEqual(await probe({ ports: { imap: silent }, health: { ...health, check: 'tcp' } }), [])
  for (const check of ['login', 'none'] as const)
    assert.deepEqual(await probe({ ports: { imap }, health: { ...health, check } }), [])
  assert.ok(lines.length >= 2, 'it was asked')
  for (const line of lines) assert.doesNotMatch(line, /login|authenticate/iu)
})

test('looks at each address of a name, and reports a name without one', async (t) => {
  const imap = await peer(t, '* OK ready', imapAnswer)
  const found = (...records: string[]) => Promise.resolve({ records, ttlMs: 5000 })
  const lookup: Lookup = {
    ...noLookup,
    addresses: (name) =>
      name === 'store.example.test'
        ? found('127.0.0.1', '127.0.0.2')
        : Promise.reject(Object.assign(new Error(), { code: 'ENOTFOUND' })),
  }
  const told = await probe({ ports: { imap }, hosts: ['store.example.test', 'gone.example.test'] }, lookup)
  assert.deepEqual(told, [
    'error: back end store-1: backend-unreachable: gone.example.test cannot be looked up: ENOTFOUND',
    `error: back end store-1, imap at 127.0.0.2:${imap}: backend-refused: cannot connect to store.example.test, 127.0.0.2:${imap}: ECONNREFUSED`,
  ])
})

test('does not blame a back end for a lack of descriptors', async () => {
  const lookup: Lookup = {
    ...noLookup,
    addresses: () => Promise.reject(Object.assign(new Error(), { code: 'EMFILE' })),
  }
  assert.deepEqual(await probe({ ports: { imap: 1 }, hosts: ['store.example.test'] }, lookup), [
    'warning: back end store-1 cannot be probed: local-shortage: look-up of store.example.test: EMFILE',
  ])
})
