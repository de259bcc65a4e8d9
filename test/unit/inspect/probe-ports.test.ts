import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer, type AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { probeAuthServer } from '../../../src/inspect/probe-auth-server.ts'
import { probePorts } from '../../../src/inspect/probe-ports.ts'
import { freePort, isFree } from '../../support/ports.ts'
import { listenerSettings } from '../listener/listener-settings.ts'

const files = { main: '/etc/mailmux/mailmux.yaml', routing: undefined }
const at = (port: number, host = '127.0.0.1', optional = false) => ({ host, port, optional })
const listeners = (...ports: number[]) =>
  ports.map((port, index) => listenerSettings({ name: `l${index}`, listen: [at(port)] }))

async function hold(t: TestContext): Promise<number> {
  const server = createServer((socket) => socket.destroy()).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}

test('finds nothing wrong with free ports, and leaves them free', async () => {
  const [one, two] = [await freePort(), await freePort()]
  const admin = { host: '127.0.0.1', port: two, hosts: [] }
  const groups = [{ group: 'ports', tested: 2, failed: [], unclear: [] }]
  assert.deepEqual(await probePorts({ listeners: listeners(one), admin, files }), { findings: [], notes: [], groups })
  assert.deepEqual([await isFree(one), await isFree(two)], [true, true])
})

test('reports a port of another program, at its listener or at admin', async (t) => {
  const [free, held, other] = [await freePort(), await hold(t), await hold(t)]
  const admin = { host: '127.0.0.1', port: other, hosts: [] }
  const { findings, notes, groups } = await probePorts({ listeners: listeners(free, held), admin, files })
  assert.deepEqual(
    findings.map(({ severity, path }) => [severity, ...path]),
    [
      ['error', 'listeners', 1, 'listen'],
      ['error', 'admin', 'listen'],
    ],
  )
  const [listener, ofAdmin] = findings.map(({ message }) => message)
  const inUse = `the port is in use by \\S+ \\(process ${process.pid}\\); stop that program or choose another port \\(EADDRINUSE\\)`
  assert.match(listener ?? '', new RegExp(`^listener l1: cannot listen on 127.0.0.1:${held}: ${inUse}$`, 'u'))
  assert.match(ofAdmin ?? '', new RegExp(`^admin: cannot listen on 127.0.0.1:${other}: ${inUse}$`, 'u'))
  assert.deepEqual(notes, [])
  const failed = [`listener l1 at 127.0.0.1:${held}`, `admin at 127.0.0.1:${other}`]
  assert.deepEqual(groups, [{ group: 'ports', tested: 3, failed, unclear: [] }])
})

test('reports an address that the machine lacks, unless it stands for every address', async () => {
  const port = await freePort()
  const lacking = (optional: boolean) => [listenerSettings({ name: 'a', listen: [at(port, '192.0.2.1', optional)] })]
  const { findings } = await probePorts({ listeners: lacking(false), admin: undefined, files })
  assert.match(findings[0]?.message ?? '', /this machine has no such address.*\(EADDRNOTAVAIL\)$/u)
  assert.deepEqual((await probePorts({ listeners: lacking(true), admin: undefined, files })).findings, [])
})

test('connects to the auth server, and reports one that is away', async (t) => {
  const [held, free] = [await hold(t), await freePort()]
  assert.deepEqual(await probeAuthServer({ url: new URL(`http://127.0.0.1:${held}/auth`), ca: undefined }), [])
  const message = (cause: string) =>
    `directory-unavailable: cannot connect to the auth server 127.0.0.1:${free}: ${cause}`
  for (const scheme of ['http', 'https']) {
    const told = await probeAuthServer({ url: new URL(`${scheme}://127.0.0.1:${free}/auth`), ca: undefined })
    assert.deepEqual(told, [{ severity: 'error', message: message('ECONNREFUSED') }])
  }
  const [secure] = await probeAuthServer({ url: new URL(`https://127.0.0.1:${held}/auth`), ca: undefined })
  assert.match(secure?.message ?? '', /^directory-unavailable: cannot connect to the auth server /u)
})
