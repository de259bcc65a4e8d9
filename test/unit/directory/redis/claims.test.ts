import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MuxError } from '../../../../src/errors.ts'
import { createRedisDirectory } from '../../../../src/directory/redis/route-store.ts'
import { claimKey } from '../../../../src/directory/redis/claims.ts'

/** What a Redis Cluster chooses the place of a key by: what stands in the first pair of braces, or all of it. */
function placeOf(key: string): string {
  const from = key.indexOf('{')
  const to = key.indexOf('}', from)
  return from === -1 || to <= from + 1 ? key : key.slice(from + 1, to)
}

for (const prefix of ['mailmux:', 'm', '{mailmux}:', 'a{b}c{d}:', 'eu/{1}'])
  test(`keeps the claim where the route is in a Cluster, with the prefix ${prefix}`, () => {
    const route = `${prefix}user:alice@example.test`
    const claim = claimKey(prefix, 'alice@example.test', route)
    assert.equal(placeOf(claim), placeOf(route))
    assert.ok(claim.startsWith(`${prefix}claim:`), 'an ACL may allow the prefix alone')
  })

/** A directory whose Redis gives this answer to each script, and what it was asked. */
function answering(answer: unknown) {
  const asked: { keys: readonly string[]; values: string[] }[] = []
  const bad: string[] = []
  const directory = createRedisDirectory(
    {
      hmget: () => assert.fail('reads no route'),
      exists: () => assert.fail('reads no route'),
      eval(_script, keys, ...values) {
        asked.push({ keys, values })
        return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)
      },
    },
    'mailmux:',
    (detail) => bad.push(detail),
  )
  return { directory, asked, bad }
}

test('returns the reserved back end of a new user, and the route of a known user', async () => {
  const kept = answering(['kept', 'store2'])
  assert.deepEqual(await kept.directory.reserve('alice', 'store1', 20_000.4), { kept: 'store2' })
  assert.deepEqual(kept.asked, [
    { keys: ['mailmux:user:alice', 'mailmux:claim:{mailmux:user:alice}'], values: ['store1', '20001'] },
  ])
  assert.deepEqual(await answering(['route', 'store3', 'inner', null, null]).directory.reserve('alice', 'store1', 1), {
    entry: { backend: 'store3', login: 'inner', status: 'active' },
  })
  assert.equal(await answering(1).directory.commit('alice', 'store1'), true)
  assert.equal(await answering(0).directory.commit('alice', 'store1'), false)
})

for (const answer of [['kept', 1], ['route', 'store1', 7, null, null], ['other'], 'kept', null, 7])
  test(`counts ${JSON.stringify(answer)} for a claim as a bad answer`, async () => {
    const { directory, bad } = answering(answer)
    await assert.rejects(directory.reserve('alice', 'store1', 1), { code: 'directory-unavailable' })
    assert.deepEqual(bad, ['the script of a claim was answered in another form'])
  })

for (const answer of ['1', null, 2, [1], true])
  test(`counts ${JSON.stringify(answer)} for a settlement as a bad answer`, async () => {
    const { directory, bad } = answering(answer)
    await assert.rejects(directory.commit('alice', 'store1'), { code: 'directory-unavailable' })
    assert.equal(bad.length, 1)
  })

test('refuses a hash without a back end in a claim', async () => {
  await assert.rejects(answering(['route', null, null, null, null]).directory.reserve('alice', 'store1', 1), {
    code: 'route-invalid',
  })
})

/** What Redis may answer that makes no sense, or that it may refuse to answer. */
const ANSWERS: Record<string, { answer: unknown; code: string }> = {
  'a route with an unknown status': { answer: ['route', 'store1', null, 'paused', null], code: 'route-invalid' },
  'a route without a back end': { answer: ['route', null, 'inner', null, null], code: 'route-invalid' },
  'a key that is no hash': { answer: new Error('WRONGTYPE Operation against a key'), code: 'route-invalid' },
  'the same in the words of Redis 6': {
    answer: new Error('ERR Error running script (call to f_1): @user_script:2: WRONGTYPE Operation against a key'),
    code: 'route-invalid',
  },
  'no answer': { answer: new Error('Command timed out'), code: 'directory-unavailable' },
  'no right to run scripts': {
    answer: new Error("NOPERM this user has no permissions to run the 'eval' command"),
    code: 'directory-unavailable',
  },
  'a replica': {
    answer: new Error("READONLY You can't write against a read only replica."),
    code: 'directory-unavailable',
  },
}

for (const [what, { answer, code }] of Object.entries(ANSWERS))
  test(`fails closed at ${what}`, async () => {
    await assert.rejects(answering(answer).directory.reserve('alice', 'store1', 1), (error) => {
      assert.ok(error instanceof MuxError)
      assert.equal(error.code, code)
      return true
    })
  })

test('fails closed without a reply', async () => {
  for (const answer of [null, 'kept', 7, [], ['kept'], ['kept', 7], ['route', null], ['rout', 'store1']])
    await assert.rejects(answering(answer).directory.reserve('alice', 'store1', 1), { code: 'directory-unavailable' })
})
