/** Limits that instances share, when a reload replaces the store in which they agree. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BackendSettings, Settings } from '../../../src/config/settings.ts'
import type { Caps } from '../../../src/leases/lessor.ts'
import type { LeaseStore } from '../../../src/leases/site-leases.ts'
import { keepLeases } from '../../../src/supervisor/leases.ts'
import { MemoryLeases } from '../leases/memory-leases.ts'

const limits: BackendSettings['limits'] = {
  sessions: 10,
  logins: 4,
  loginsPerSecond: undefined,
  queue: 1,
  waitMs: 1,
  leastForAddress: 1,
}
const settings: unknown = { routing: { backends: new Map([['store1', { name: 'store1', limits }]]) } }

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('keeps the parts in use until the next store has granted them, and gives back those of the old one', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const [first, second] = [new MemoryLeases(), new MemoryLeases()]
  const left: string[] = []
  const noting = (name: string, store: LeaseStore): LeaseStore => ({
    ...store,
    leave(keys) {
      left.push(name)
      return store.leave(keys)
    },
  })
  const lent: number[] = []
  const holder = (caps: Caps) => {
    lent.push(Math.max(0, ...caps.values()))
    return Promise.resolve(new Map([...caps.keys()].map((key) => [key, { used: 1, waiting: 1 }])))
  }
  const log = { info: () => undefined, warn: () => undefined }
  const leases = keepLeases({
    settings: () => settings as Settings,
    site: { id: 'one', store: noting('first', first.storeOf('one')) },
    log,
  })
  leases.join(holder)
  t.mock.timers.tick(1000)
  await settle()
  t.mock.timers.tick(1000)
  await settle()
  const before = lent.at(-1) ?? 0
  assert.ok(before > 0)
  const at = lent.length

  const granting = Promise.withResolvers<undefined>()
  const slow: LeaseStore = {
    ...second.storeOf('one'),
    renew: async (key, request) => {
      await granting.promise
      return second.renew('one', key, request)
    },
  }
  const moved = leases.moveTo({ id: 'one', store: noting('second', slow) })
  t.mock.timers.tick(1000)
  await settle()
  assert.deepEqual(left, [])
  granting.resolve(undefined)
  await moved
  t.mock.timers.tick(1000)
  await settle()
  assert.deepEqual(left, ['first'])
  assert.ok(
    lent.slice(at).every((cap) => cap >= before),
    lent.join(' '),
  )
  assert.equal(leases.isShared(), true)

  await leases.moveTo(undefined)
  assert.deepEqual([left, leases.isShared()], [['first', 'second'], undefined])
  await leases.stop()
})
