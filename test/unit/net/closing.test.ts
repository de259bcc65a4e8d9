/** Sockets whose peer does not read are closed all the same, in clear and in TLS. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, Socket, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test, type TestContext } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { closeSoon } from '../../../src/net/closing.ts'
import { acceptTls } from '../../../src/tls/upgrade.ts'
import { makeAuthority, type Authority, type Leaf } from '../../support/certificates.ts'
import { READ_DEADLINE_MS, within } from '../../support/deadline.ts'

let directory: string
let authority: Authority
let leaf: Leaf

before(async () => {
  directory = await mkdtemp(join(tmpdir(), 'mailmux-closing-'))
  authority = await makeAuthority(directory)
  leaf = await authority.issue('mail')
})
after(() => rm(directory, { recursive: true }))

type Kind = 'clear' | 'TLSv1.2' | 'TLSv1.3'

/** @returns our end, and that of a client which has not read since the connection was made */
async function connectPair(t: TestContext, kind: Kind): Promise<{ near: Socket; far: Socket }> {
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const raw = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [accepted] = (await once(server, 'connection')) as [Socket]
  server.close()
  t.after(() => {
    raw.destroy()
    accepted.destroy()
  })
  if (kind === 'clear') return { near: accepted, far: raw }
  const far = connectTls({ socket: raw, ca: authority.ca, servername: 'mail.example.test', maxVersion: kind })
  const [near] = await Promise.all([acceptTls(accepted, leaf), once(far, 'secureConnect')])
  return { near, far: far.pause() }
}

/** @returns resolves when `socket` is closed, by a peer that is given no more than `withinMs` */
function closed(socket: Socket, withinMs: number): Promise<unknown> {
  const promise = new Promise<unknown>((resolve) => closeSoon(socket, () => resolve(undefined), withinMs))
  return within(READ_DEADLINE_MS, promise, () => 'the socket was not closed')
}

for (const kind of ['clear', 'TLSv1.2', 'TLSv1.3'] as const) {
  test(`closes a connection whose peer never reads (${kind})`, async (t) => {
    const { near, far } = await connectPair(t, kind)
    far.on('error', () => undefined)
    while (!near.writableNeedDrain) near.write(Buffer.alloc(64 * 1024))
    await closed(near, 50)
    assert.ok(near.destroyed)
  })

  test(`sends what waits to be written to a peer that reads (${kind})`, async (t) => {
    const { near, far } = await connectPair(t, kind)
    let bytes = 0
    for (; !near.writableNeedDrain; bytes += 64 * 1024) near.write(Buffer.alloc(64 * 1024))
    const closing = closed(near, 60_000)
    let read = 0
    far.on('data', (chunk: Buffer) => (read += chunk.length)).resume()
    await within(READ_DEADLINE_MS, once(far, 'end'), () => `${read} of ${bytes} bytes were read`)
    assert.equal(read, bytes)
    await closing
  })
}

test('reports a socket that is closed already, or was never connected', async () => {
  const socket = new Socket()
  await closed(socket, 60_000)
  await closed(socket, 60_000)
})
