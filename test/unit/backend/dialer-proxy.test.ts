/** The PROXY header that a back end gets on a new connection, before any other byte. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { MuxError } from '../../../src/errors.ts'
import { dial, type Origin } from '../../../src/backend/dialer.ts'
import type { BackendSettings } from '../../../src/config/settings.ts'
import { buildProxyHeader } from '../../../src/net/proxy-header.ts'
import { backend, isCode } from './fixture.ts'

const ORIGIN: Origin = {
  source: { address: '192.0.2.7', port: 40_000 },
  destination: { address: '192.0.2.1', port: 143 },
}

/** What the back end reads up to the first byte of mailmux itself. */
async function received(t: TestContext, proxyProtocol: BackendSettings['proxyProtocol'], origin: Origin | undefined) {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const address = { host: 'a.test', ip: '127.0.0.1', port: (server.address() as AddressInfo).port, source: 'name', rank: 0, weight: 1 } as const // prettier-ignore
  const accepted = once(server, 'connection') as Promise<[Socket]>
  const { socket, connected } = dial(backend({ proxyProtocol }), address, origin)
  await connected
  socket.end('!')
  const chunks: Buffer[] = []
  for await (const chunk of (await accepted)[0]) chunks.push(chunk as Buffer)
  const all = Buffer.concat(chunks)
  assert.equal(all.at(-1), '!'.charCodeAt(0))
  return all.subarray(0, -1)
}

for (const [proxyProtocol, version] of [
  ['v1', 1],
  ['v2', 2],
] as const) {
  test(`is of ${proxyProtocol} and names the client`, async (t) => {
    assert.deepEqual(await received(t, proxyProtocol, ORIGIN), buildProxyHeader({ version, ...ORIGIN }))
  })

  test(`is of ${proxyProtocol} and names no client where mailmux asks for itself`, async (t) => {
    assert.deepEqual(await received(t, proxyProtocol, undefined), buildProxyHeader({ version, local: true }))
  })
}

test('is not sent to a back end that wants none', async (t) => {
  assert.equal((await received(t, 'none', ORIGIN)).length, 0)
})

test('a refused connection names the host and the address; an attempt that is given up ends with the reason', async () => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  const at = (host: string) => ({ host, ip: '127.0.0.1', port, source: 'name', rank: 0, weight: 1 }) as const
  for (const [host, words] of [
    ['a.test', `a.test, 127.0.0.1:${port}`],
    ['127.0.0.1', `127.0.0.1:${port}`],
  ] as const) {
    const error = await dial(backend(), at(host), undefined).connected.catch((thrown: unknown) => thrown)
    assert.ok(isCode('backend-refused')(error))
    assert.equal((error as Error).message, `cannot connect to ${words}: ECONNREFUSED`)
  }
  const reason = new MuxError('backend-timeout', 'too late')
  const { socket, connected } = dial(backend(), at('a.test'), undefined)
  socket.destroy(reason)
  await assert.rejects(connected, (error) => error === reason)
})
