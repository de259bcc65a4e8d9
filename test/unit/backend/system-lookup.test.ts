import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLookup } from '../../../src/backend/endpoint/lookup.ts'
import { createSystemLookup } from '../../../src/backend/endpoint/system-lookup.ts'

/** A resolver whose answers wait until they are let go. */
function openResolver() {
  const asked: { name: string; answer: (ips: string[]) => void; fail: (error: Error) => void }[] = []
  const lookup = createSystemLookup((name) => new Promise((answer, fail) => asked.push({ name, answer, fail })))
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))
  return { asked, lookup, settled }
}

test('looks up one name at a time, also after a failure, and shares the result of a lookup', async () => {
  const { asked, lookup, settled } = openResolver()
  const names = Array.from({ length: 8 }, (_, index) => `store${index}.test`)
  const answers = [...names, 'store1.test'].map((name) => lookup(name))
  const outcomes = Promise.allSettled(answers)
  for (const [index, name] of names.entries()) {
    await settled()
    assert.deepEqual(
      asked.map((one) => one.name),
      names.slice(0, index + 1),
    )
    assert.equal(asked[index]?.name, name)
    if (index % 2 === 0) asked[index].fail(Object.assign(new Error('dead'), { code: 'EAI_AGAIN' }))
    else asked[index].answer([`192.0.2.${index}`])
  }
  const found = (await outcomes).map((one) => (one.status === 'fulfilled' ? one.value : 'failed'))
  assert.deepEqual(found.slice(0, 3), ['failed', ['192.0.2.1'], 'failed'])
  assert.deepEqual(found[8], ['192.0.2.1'])
  void lookup('store0.test').catch(() => undefined)
  await settled()
  assert.equal(asked.length, 9, 'a name that has been answered is asked for again')
})

test('two worlds share the turn at the system', async () => {
  const { asked, lookup, settled } = openResolver()
  const worlds = [createLookup([], lookup), createLookup([], lookup)]
  const found = worlds.map((world, index) => world.addresses(`127.0.0.${index + 1}`))
  for (const [index] of found.entries()) {
    await settled()
    assert.equal(asked.length, index + 1)
    asked[index]?.answer([`127.0.0.${index + 1}`])
    await found[index]
  }
})

test('gives all addresses that the system has for a name', async () => {
  const found = await createSystemLookup()('localhost')
  assert.ok(found.length > 0)
  for (const ip of found) assert.ok(ip === '::1' || ip.startsWith('127.'), ip)
})
