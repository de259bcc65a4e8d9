/** The Unix socket of the admin HTTP over a start, a reload, and a hand-over between processes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createAdminDoors } from '../../../src/supervisor/admin-doors.ts'
import { createAdminPort } from '../../../src/supervisor/admin-port.ts'
import { createServer } from 'node:http'
import { keepLog } from '../backend/fixture.ts'

function start() {
  const open: string[] = []
  const asked: unknown[] = []
  const gone = new Set<string>()
  const { log, lines } = keepLog()
  const doors = createAdminDoors({
    port: createAdminPort(() => Promise.resolve({ close: () => undefined, server: createServer() })),
    openSocket(place) {
      asked.push(place)
      if (place.file.startsWith('/no')) return Promise.reject(new Error('cannot be opened: EACCES'))
      open.push(place.file)
      gone.delete(place.file)
      const close = () => void open.splice(open.indexOf(place.file), 1)
      return Promise.resolve({ close, isThere: () => !gone.has(place.file) })
    },
    log,
  })
  return { doors, open, asked, gone, lines }
}

const at = (file: string | undefined, isDefault = false) => ({
  host: '127.0.0.1',
  port: 1,
  socket: file === undefined ? undefined : { file, isDefault },
})

test('opens the socket of the configuration, and says in the log where', async () => {
  const { doors, open, lines } = start()
  await doors.openSocket(at('/run/a'))
  assert.deepEqual([open, doors.socketFile()], [['/run/a'], '/run/a'])
  assert.deepEqual(lines, [{ level: 'info', message: 'admin socket is open', file: '/run/a' }])
  doors.close()
  assert.deepEqual(open, [])
})

test('goes on without the default socket, and not without one that the configuration names', async () => {
  const { doors, open, lines } = start()
  await doors.openSocket(at('/no/a', true))
  assert.deepEqual([open, doors.socketFile()], [[], undefined])
  assert.deepEqual(
    lines.map(({ level }) => level),
    ['debug'],
  )
  await assert.rejects(doors.openSocket(at('/no/a')), { message: 'admin.socket: /no/a cannot be opened: EACCES' })
})

test('replaces the socket of the process before it, and no other', async () => {
  const { doors, asked } = start()
  await doors.openSocket(at('/run/a'), { takenOver: '/run/a' })
  const other = start()
  await other.doors.openSocket(at('/run/b'), { takenOver: '/run/a' })
  assert.deepEqual(
    [...asked, ...other.asked],
    [
      { file: '/run/a', mayReplace: true },
      { file: '/run/b', mayReplace: false },
    ],
  )
})

test('takes the place of another process also where it cannot open the socket', async () => {
  const { doors, lines } = start()
  await doors.openSocket(at('/no/a'), { takenOver: '/no/a' })
  assert.deepEqual(
    lines.map(({ level, message }) => [level, message]),
    [['warn', 'no admin socket']],
  )
})

test('follows a reload: opens the new socket first, and keeps the old one if the reload fails', async () => {
  const { doors, open } = start()
  await doors.openSocket(at('/run/a'))
  const change = await doors.prepare(at('/run/b'))
  assert.deepEqual(open, ['/run/a', '/run/b'])
  change.discard()
  assert.deepEqual(open, ['/run/a'])
  await assert.rejects(doors.prepare(at('/no/b')), /admin\.socket: \/no\/b/)
  assert.deepEqual(open, ['/run/a'])
  ;(await doors.prepare(at('/run/b'))).commit()
  assert.deepEqual(open, ['/run/b'])
  ;(await doors.prepare(at(undefined))).commit()
  assert.deepEqual([open, doors.socketFile()], [[], undefined])
})

test('opens the socket again at a reload, if it was removed, and otherwise leaves it', async () => {
  const { doors, asked, gone } = start()
  await doors.openSocket(at('/run/a'))
  ;(await doors.prepare(at('/run/a'))).commit()
  assert.equal(asked.length, 1)
  gone.add('/run/a')
  ;(await doors.prepare(at('/run/a'))).commit()
  assert.equal(asked.length, 2)
})

test('opens none after its end', async () => {
  const { doors, open } = start()
  const change = await doors.prepare(at('/run/a'))
  doors.close()
  change.commit()
  assert.deepEqual(open, [])
})
