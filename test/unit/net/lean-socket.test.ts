import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { test, type TestContext } from 'node:test'
import { createReadMemory, LeanSocket, type ReadMemory } from '../../../src/net/lean-socket.ts'

/** A connection whose near end is lean, and what it shares its memory by. */
async function connectLean(
  t: TestContext,
  memory: ReadMemory = createReadMemory(),
): Promise<{ lean: LeanSocket; far: Socket }> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const lean = new LeanSocket({}, memory).connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [far] = (await once(server, 'connection')) as [Socket]
  server.close()
  t.after(() => {
    lean.destroy()
    far.destroy()
  })
  return { lean, far }
}

const hash = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')

/** Reads to the end, by a copy of each chunk. */
async function readAll(socket: Socket): Promise<Buffer> {
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(Buffer.from(chunk)))
  await once(socket, 'end')
  return Buffer.concat(chunks)
}

test('gives every octet in order, however much comes at once', async (t) => {
  for (const bytes of [0, 1, 2047, 2048, 2049, 65_535, 300_000, 5_000_000]) {
    const { lean, far } = await connectLean(t)
    const sent = randomBytes(bytes)
    far.end(sent)
    assert.equal(hash(await readAll(lean)), hash(sent), `${bytes} octets`)
  }
})

test('reads into the same large memory again once a chunk was dealt with', async (t) => {
  const { lean, far } = await connectLean(t)
  const places = new Set<ArrayBufferLike>()
  let bytes = 0
  lean.on('data', (chunk: Buffer) => {
    bytes += chunk.length
    if (chunk.buffer.byteLength === 64 * 1024 && chunk.byteOffset === 0) places.add(chunk.buffer)
  })
  far.write(randomBytes(1_000_000))
  while (bytes < 1_000_000) await once(lean, 'data')
  assert.equal(places.size, 1)
})

test('shares what it reads into with every other quiet one, and no chunk of one is seen to change by it', async (t) => {
  const memory = createReadMemory()
  const both = [await connectLean(t, memory), await connectLean(t, memory)]
  const chunks: Buffer[] = []
  for (const { lean } of both) lean.on('data', (chunk: Buffer) => chunks.push(chunk))
  for (const [index, { lean, far }] of both.entries()) {
    far.write(`of ${index}`)
    await once(lean, 'data')
  }
  assert.deepEqual(chunks.map(String), ['of 0', 'of 1'])
  assert.match(memory.small.toString('latin1'), /^of 1/, 'the second went over the first')
})

test('leaves a chunk alone that is kept', async (t) => {
  const { lean, far } = await connectLean(t)
  const chunks: Buffer[] = []
  lean.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    lean.keep()
  })
  const sent = randomBytes(1_000_000)
  far.end(sent)
  await once(lean, 'end')
  assert.equal(hash(Buffer.concat(chunks)), hash(sent))
})

test('keeps what comes before anybody listens, and while it is paused', async (t) => {
  const { lean, far } = await connectLean(t)
  far.write('early ')
  await once(lean, 'readable')
  far.write('and late')
  far.end()
  assert.equal(String(await readAll(lean)), 'early and late')
})

test('hands large memory on when it is quiet again, and when it is closed', async (t) => {
  const memory = createReadMemory()
  const { lean, far } = await connectLean(t, memory)
  far.write(randomBytes(200_000))
  let bytes = 0
  lean.on('data', (chunk: Buffer) => (bytes += chunk.length))
  while (bytes < 200_000) await once(lean, 'data')
  far.write('quiet')
  await once(lean, 'data')
  assert.deepEqual(
    memory.spare.map(({ length }) => length),
    [64 * 1024],
  )
  const { lean: second, far: secondFar } = await connectLean(t, memory)
  secondFar.end(randomBytes(100_000))
  await readAll(second)
  second.destroy()
  await once(second, 'close')
  assert.equal(memory.spare.length, 1, 'neither taken twice nor lost')
})

test('does not hand on memory of a chunk that is kept while its socket is closed', async (t) => {
  const memory = createReadMemory()
  const { lean, far } = await connectLean(t, memory)
  const kept = new Promise<Buffer>((resolve) => {
    lean.on('data', (chunk: Buffer) => {
      if (chunk.buffer.byteLength !== 64 * 1024 || lean.destroyed) return
      lean.keep()
      lean.release()
      lean.destroy()
      resolve(chunk)
    })
  })
  far.write(randomBytes(1_000_000))
  const chunk = await kept
  await once(lean, 'close')
  assert.ok(!memory.spare.some(({ buffer }) => buffer === chunk.buffer))
})
