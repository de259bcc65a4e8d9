/** The Unix socket of the admin HTTP: its permissions, what it replaces, and what it leaves alone. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { request } from 'node:http'
import { once } from 'node:events'
import net from 'node:net'
import path from 'node:path'
import { text } from 'node:stream/consumers'
import { test, type TestContext } from 'node:test'
import type { IncomingMessage } from 'node:http'
import { openAdminSocket } from '../../../src/admin/admin-socket.ts'
import { temporaryDirectory } from '../config/fixture.ts'
import { keepLog } from '../backend/fixture.ts'
import { adminWith } from './parts.ts'
import { tokensOf } from './tokens.ts'

function place(t: TestContext) {
  const directory = temporaryDirectory(t)
  const file = path.join(directory, 'admin.sock')
  const { app } = adminWith({
    tokens: () => tokensOf('a-token-of-the-file'),
    backends: () => Promise.resolve([]),
    setBackendState: () => Promise.resolve({ result: 'changed' }),
  })
  const open = async ({ mayReplace = false, at = file } = {}) => {
    const opened = await openAdminSocket(
      app,
      { file: at, mayReplace },
      { log: keepLog().log, refused: () => undefined },
    )
    t.after(opened.close)
    return opened
  }
  return { directory, file, open }
}

async function ask(
  socketPath: string,
  { method = 'GET', url = '/api/v1/backends', host = 'localhost', body = '' } = {},
) {
  const asked = request({ socketPath, path: url, method, headers: { host }, agent: false })
  asked.end(body)
  const [response] = (await once(asked, 'response')) as [IncomingMessage]
  return { status: response.statusCode, text: await text(response) }
}

const mode = (file: string): number => fs.lstatSync(file).mode & 0o777

test('answers without a token, whatever the name of the host is', async (t) => {
  const { file, open, directory } = place(t)
  await open()
  assert.equal(mode(file), 0o660)
  assert.deepEqual(fs.readdirSync(directory), ['admin.sock'], 'nothing is left beside it')
  assert.deepEqual(await ask(file), { status: 200, text: '{"backends":[]}' })
  assert.equal((await ask(file, { host: 'any.example.test' })).status, 200)
  const url = '/api/v1/backends/store1/state'
  assert.equal((await ask(file, { method: 'PUT', url, body: '{"state":"up"}' })).status, 200)
})

test('removes its socket at the end', async (t) => {
  const { file, open } = place(t)
  const opened = await open()
  opened.close()
  assert.equal(fs.existsSync(file), false)
  opened.close()
})

test('makes the directory, if that is all that is missing', async (t) => {
  const { directory, open } = place(t)
  await open({ at: path.join(directory, 'mailmux/admin.sock') })
  assert.equal(mode(path.join(directory, 'mailmux')) & 0o722, 0o700)
  await assert.rejects(open({ at: path.join(directory, 'a/b/admin.sock') }), /^Error: needs a directory .*: ENOENT$/)
})

test('replaces a socket that no process serves any more', async (t) => {
  const { file, open } = place(t)
  const server = net.createServer().listen({ path: `${file}.x` })
  await once(server, 'listening')
  fs.renameSync(`${file}.x`, file) // Node removes the name under which it has bound
  server.close()
  await once(server, 'close')
  assert.ok(fs.lstatSync(file).isSocket())
  await open()
  assert.equal((await ask(file)).status, 200)
})

test('leaves the socket of another process alone, unless that gives its place away', async (t) => {
  const { file, open } = place(t)
  const first = await open()
  await assert.rejects(open(), /^Error: is served by another process$/)
  assert.equal((await ask(file)).status, 200)
  const second = await open({ mayReplace: true })
  assert.deepEqual([first.isThere(), second.isThere()], [false, true])
  first.close()
  assert.equal((await ask(file)).status, 200, 'the first one does not remove the socket of the second one')
})

test('replaces no file, no directory and no symbolic link', async (t) => {
  const { directory, file, open } = place(t)
  const target = path.join(directory, 'precious')
  fs.writeFileSync(target, 'mail')
  for (const [make, why] of [
    [() => fs.writeFileSync(file, 'x'), /exists and is no socket/],
    [() => fs.mkdirSync(file), /exists and is no socket/],
    [() => fs.symlinkSync(target, file), /is a symbolic link/],
  ] as const) {
    make()
    await assert.rejects(open(), why)
    await assert.rejects(open({ mayReplace: true }), why)
    assert.equal(fs.readFileSync(target, 'utf8'), 'mail')
    fs.rmSync(file, { recursive: true })
  }
})

test('opens none in a directory that every user can change', async (t) => {
  const { directory, open } = place(t)
  for (const wrong of [0o777, 0o1777]) {
    fs.chmodSync(directory, wrong)
    await assert.rejects(open(), /^Error: is in a directory that every user of this machine can change$/)
  }
})

test('knows a socket that was removed or replaced behind its back', async (t) => {
  const { file, open } = place(t)
  const opened = await open()
  assert.equal(opened.isThere(), true)
  fs.rmSync(file)
  assert.equal(opened.isThere(), false)
  await open()
  assert.equal(opened.isThere(), false)
})
