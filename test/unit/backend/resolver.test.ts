/** When the names of a back end are looked up, by a DNS and a clock that the test moves. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { openResolver } from '../../../src/backend/endpoint/resolver.ts'
import { backendSettings, keepLog } from './fixture.ts'

const NAME = 'store.example.test'

function open(t: TestContext) {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  let nowMs = 0
  const dns = { code: 'EAI_AGAIN' as string | undefined, asked: 0 }
  const { log, lines } = keepLog()
  const resolver = openResolver({
    settings: backendSettings({ hosts: [NAME] }),
    lookup: {
      addresses: () => {
        dns.asked++
        if (dns.code === undefined) return Promise.resolve({ records: ['192.0.2.1'], ttlMs: 60_000 })
        return Promise.reject(Object.assign(new Error(dns.code), { code: dns.code }))
      },
      services: () => assert.fail('no SRV'),
    },
    log,
    noteShortage: () => undefined,
    nowMs: () => nowMs,
    onKnown: () => undefined,
  })
  t.after(() => resolver.close())
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  const pass = async (ms: number): Promise<void> => {
    nowMs += ms
    t.mock.timers.tick(ms)
    await settled()
  }
  return { resolver, dns, lines, pass, settled }
}

for (const code of ['EAI_AGAIN', 'ETIMEOUT'])
  test(`asks a resolver that does not answer (${code}) after a growing pause, and logins do not ask in between`, async (t) => {
    const { resolver, dns, lines, pass, settled } = open(t)
    dns.code = code
    await settled()
    assert.equal(dns.asked, 1)
    for (const pauseMs of [5000, 10_000, 20_000, 30_000, 30_000]) {
      const before: number = dns.asked
      await pass(pauseMs - 1)
      await resolver.refresh()
      assert.equal(dns.asked, before)
      await pass(1)
      assert.equal(dns.asked, before + 1)
    }
    assert.equal(lines.filter(({ message }) => message === 'back end name not found').length, 1)
    dns.code = undefined
    await pass(30_000)
    assert.equal(lines.filter(({ message }) => message === 'back end name found again').length, 1)
    dns.code = code
    await pass(60_000)
    const before = dns.asked
    await pass(5000)
    assert.equal(dns.asked, before + 1, 'the pause is short again')
  })

test('asks for a name that does not exist every 5 seconds, and for a login sooner', async (t) => {
  const { resolver, dns, pass, settled } = open(t)
  dns.code = 'ENOTFOUND'
  await settled()
  for (let round = 2; round < 10; round++) {
    await pass(5000)
    assert.equal(dns.asked, round)
  }
  await pass(1000)
  await resolver.refresh()
  assert.equal(dns.asked, 10)
})
