/** Orders to block: what is refused because it would have no effect. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import type { Settings } from '../../../src/config/settings.ts'
import { keepBlocks } from '../../../src/supervisor/blocks.ts'
import { listenerSettings } from '../listener/listener-settings.ts'

function open(t: TestContext, defaultDomains: readonly (string | undefined)[]) {
  const listeners = defaultDomains.map((defaultDomain) => listenerSettings({ defaultDomain }))
  const settings = { listeners, routing: { userCase: 'lower', aliases: new Map() } } as unknown as Settings
  const keeper = keepBlocks({
    pool: { setBlocks: () => Promise.resolve({ ended: 0 }) },
    store: () => undefined,
    settings: () => settings,
    refreshAll: () => Promise.resolve({ ended: 0 }),
  })
  t.after(() => keeper.stop())
  return async (target: string) => {
    const answer = await keeper.orders.block({ target, by: 'op', forMs: undefined })
    return answer.result === 'done' ? 'done' : answer.why
  }
}

test('a user without a domain is blocked only where such a name is a user', async (t) => {
  const everywhere = open(t, ['example.test', 'example.org'])
  assert.equal(
    await everywhere('Alice'),
    'alice has no domain, and every listener adds one to such a name: write alice@example.test',
  )
  assert.equal(await everywhere('alice@example.test'), 'done')
  assert.equal(await everywhere('192.0.2.7'), 'done')
  assert.equal(await open(t, ['example.test', undefined])('alice'), 'done')
})
