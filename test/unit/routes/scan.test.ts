/** All routes in Redis: what is no route is left out, and what cannot be read ends the list. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Bulk } from '../../../src/directory/redis/bulk.ts'
import { scanRoutes } from '../../../src/routes/scan.ts'

/** @param fields of each key, or the error that Redis answers instead */
function bulkOf(routes: Record<string, Error | (string | null)[]>): Pick<Bulk, 'run' | 'scan'> {
  return {
    run: (commands) => Promise.resolve(commands.map(({ key }) => routes[key])),
    async *scan() {
      yield Promise.resolve(Object.keys(routes))
    },
  }
}

async function namesOf(bulk: Pick<Bulk, 'run' | 'scan'>): Promise<string[]> {
  const names: string[] = []
  for await (const page of scanRoutes(bulk, 'm:', {})) names.push(...page.map(({ user }) => user))
  return names
}

test('leaves out a key of another type', async () => {
  const wrongType = new Error('WRONGTYPE Operation against a key holding the wrong kind of value')
  assert.deepEqual(await namesOf(bulkOf({ 'm:user:alice': ['store1', null, null, null], 'm:user:bob': wrongType })), [
    'alice',
  ])
})

for (const message of [
  "NOPERM User reader has no permissions to run the 'hmget' command",
  'MOVED 3999 127.0.0.1:6381',
  'CLUSTERDOWN The cluster is down',
  'LOADING Redis is loading the dataset in memory',
]) {
  test(`is no list without a route that Redis does not tell: ${message}`, async () => {
    const refused = Object.assign(new Error(message), { name: 'ReplyError' })
    await assert.rejects(namesOf(bulkOf({ 'm:user:alice': ['store1', null, null, null], 'm:user:bob': refused })), {
      message: `Redis: ${message}`,
    })
  })
}
