import assert from 'node:assert/strict'
import { once } from 'node:events'
import { openSync, closeSync } from 'node:fs'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { findInTable, listeningAddress } from '../../../src/net/listening-socket.ts'

const HEAD = '  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode'
const REST = '00000000:00000000 00:00000000 00000000     0        0'

test('reads IPv4 and IPv6 addresses of the tables of the kernel', () => {
  const v4 = `${HEAD}\n   0: 0100007F:0477 00000000:0000 0A ${REST} 41 1 0 100 0 0 10 0\n`
  assert.deepEqual(findInTable(v4, '41'), { host: '127.0.0.1', port: 1143 })
  const v6 = [
    HEAD,
    `   0: 00000000000000000000000000000000:008F 00000000000000000000000000000000:0000 0A ${REST} 42 1`,
    `   1: B80D0120000000000000000001000000:03E1 00000000000000000000000000000000:0000 0A ${REST} 43 1`,
  ].join('\n')
  assert.deepEqual(findInTable(v6, '42'), { host: '::', port: 143 })
  assert.deepEqual(findInTable(v6, '43'), { host: '2001:db8::1', port: 993 })
})

test('passes over a connection: only a socket in the state LISTEN has clients', () => {
  const row = `   0: 0100007F:0477 0100007F:9000 01 ${REST} 41 1 0 100 0 0 10 0\n`
  assert.equal(findInTable(`${HEAD}\n${row}`, '41'), undefined)
})

test('tells the address of a listening descriptor, and nothing of a file or a closed descriptor', async (t) => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  const address = server.address()
  assert.ok(address !== null && typeof address === 'object')
  const handle: unknown = Reflect.get(server, '_handle')
  assert.ok(typeof handle === 'object' && handle !== null)
  assert.deepEqual(await listeningAddress(Number(Reflect.get(handle, 'fd'))), { host: '127.0.0.1', port: address.port })
  const file = openSync('/dev/null', 'r')
  assert.equal(await listeningAddress(file), undefined)
  closeSync(file)
  assert.equal(await listeningAddress(9999), undefined)
})
