/** The port of the admin HTTP over a reload. */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { test } from 'node:test'
import { Hono } from 'hono'
import { openAdmin } from '../../../src/admin/admin.ts'
import { createAdminPort } from '../../../src/supervisor/admin-port.ts'
import { freePort } from '../../support/ports.ts'
import { keepLog } from '../backend/fixture.ts'

function start() {
  const open = new Set<number>()
  const port = createAdminPort(({ port: number }) => {
    if (number === 1) return Promise.reject(Object.assign(new Error('bind'), { code: 'EACCES' }))
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
  await assert.rejects(
    port.prepare(at(1)),
    /^Error: admin: cannot listen on 127\.0\.0\.1:1: ports below 1024 need a right/u,
  )
  assert.deepEqual([...open], [10])
})

test('names the program that has the port, and the way out', async (t) => {
  const parts = { log: keepLog().log, refused: () => undefined }
  const taken = at(await freePort())
  const { close } = await openAdmin(new Hono(), taken, parts)
  t.after(close)
  const port = createAdminPort((address) => openAdmin(new Hono(), address, parts))
  await assert.rejects(port.prepare(taken), {
    message: new RegExp(
      `^admin: cannot listen on 127\\.0\\.0\\.1:${taken.port}: the port is in use by .* \\(process ${process.pid}\\); stop that program or choose another port \\(EADDRINUSE\\)$`,
      'u',
    ),
  })
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
