/** The port of the admin HTTP over a reload. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { createAdminPort } from '../../../src/supervisor/admin-port.ts'

function start() {
  const open = new Set<number>()
  const port = createAdminPort(({ port: number }) => {
    if (number === 1) return Promise.reject(new Error('admin: cannot listen on 127.0.0.1:1: EACCES'))
    open.add(number)
    return Promise.resolve({ close: () => void open.delete(number), server: createServer() })
  })
  return { port, open }
}

const at = (port: number) => ({ host: '127.0.0.1', port })

test('opens the new port before it closes the old one', async () => {
  const { port, open } = start()
  ;(await port.prepare(at(10))).commit()
  const change = await port.prepare(at(11))
  assert.deepEqual([...open], [10, 11])
  change.commit()
  assert.deepEqual([...open], [11])
  ;(await port.prepare(undefined)).commit()
  assert.deepEqual([...open], [])
})

test('keeps the old port if the change is discarded, or the new one cannot be opened', async () => {
  const { port, open } = start()
  ;(await port.prepare(at(10))).commit()
  ;(await port.prepare(at(11))).discard()
  await assert.rejects(port.prepare(at(1)), /cannot listen/)
  assert.deepEqual([...open], [10])
})

test('does not open the same port again, and leaves none open after its end', async () => {
  const { port, open } = start()
  ;(await port.prepare(at(10))).commit()
  ;(await port.prepare(at(10))).commit()
  const late = await port.prepare(at(11))
  port.close()
  late.commit()
  assert.deepEqual([...open], [])
})
