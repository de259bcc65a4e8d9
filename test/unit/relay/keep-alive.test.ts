/** TCP keepalive of both sides, as the kernel has it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { startRelay } from './fixture.ts'

/** Whether the kernel has a keepalive timer for this connection (proc(5): the field `tr` of /proc/net/tcp). */
function hasKeepAlive({ localPort = 0, remotePort = 0 }: Socket): boolean {
  const hex = (port: number): string => `:${port.toString(16).toUpperCase().padStart(4, '0')}`
  const fields = readFileSync('/proc/net/tcp', 'latin1')
    .split('\n')
    .map((line) => line.trim().split(/\s+/u))
    .find(([, local, remote]) => local?.endsWith(hex(localPort)) && remote?.endsWith(hex(remotePort)))
  assert.ok(fields, 'the kernel has no such connection')
  return fields[5]?.startsWith('02:') ?? false
}

test('sends keepalives to both sides from the first sweep on, and none in a shorter session', async (t) => {
  const { relays, near } = await startRelay(t)
  if (near.backend.connecting) await once(near.backend, 'connect')
  assert.deepEqual([hasKeepAlive(near.client), hasKeepAlive(near.backend)], [false, false])
  relays.sweep(1000)
  assert.deepEqual([hasKeepAlive(near.client), hasKeepAlive(near.backend)], [true, true])
})
