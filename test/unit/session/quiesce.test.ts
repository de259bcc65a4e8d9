/** What counts as a session of a user on hold, and when a process may not answer for the hold. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MuxError } from '../../../src/errors.ts'
import type { Phase } from '../../../src/login/login.ts'
import type { Text } from '../../../src/octets.ts'
import type { Route } from '../../../src/routing/router.ts'
import { quiesce } from '../../../src/session/quiesce.ts'

const HELD: Route = { kind: 'hold', source: 'directory', token: 'mine' }

function open(
  all: [phase: Phase, user: Text | undefined, backend: string | undefined][],
  route: Route | MuxError = HELD,
) {
  const ended: string[] = []
  const sessions = all.map(([phase, user, backend], index) => ({
    phase,
    login: user === undefined ? undefined : { user, backend },
    end: (why: string, withinMs?: number) => void ended.push(`${index} ${why} ${withinMs}`),
  }))
  const answer = quiesce('alice', 'store1', 'mine', {
    sessions: () => sessions,
    routeOf: () => (route instanceof MuxError ? Promise.reject(route) : Promise.resolve(route)),
    placedName: (user) => user.toLowerCase(),
    endTimeoutMs: () => 30_000,
  })
  return { answer, ended }
}

for (const [what, session, left, isEnded] of [
  ['a running session at the old back end', ['relaying', 'alice', 'store1'], 1, true],
  ['a session of a placed user under another form of the name', ['relaying', 'Alice', 'store1'], 1, true],
  ['a login that is dialling the old back end', ['connecting', 'alice', 'store1'], 1, true],
  ['a login that waits for a slot at the old back end', ['waiting', 'alice', 'store1'], 1, true],
  ['a login whose lookup is under way', ['routing', 'alice', undefined], 1, false],
  ['a login that waits for the end of the hold', ['waiting', 'alice', undefined], 0, false],
  ['a session at another back end', ['relaying', 'alice', 'store2'], 0, false],
  ['a session of another user', ['relaying', 'bob', 'store1'], 0, false],
  ['a client whose last login was refused', ['login', 'alice', 'store1'], 0, false],
  ['a client before its login', ['login', undefined, undefined], 0, false],
] as const)
  test(`${what} ${left ? 'counts' : 'does not count'}`, async () => {
    const { answer, ended } = open([[...session]])
    assert.deepEqual(await answer, { isHeld: true, left })
    assert.deepEqual(ended, isEnded ? ['0 moved 30000'] : [])
  })

for (const [what, route, why] of [
  ['sees no hold', { kind: 'unknown' }, /not on hold here/],
  ['sees another hold', { ...HELD, token: 'other' }, /another hold/],
  ['sees the hold of an operator', { ...HELD, token: undefined }, /another hold/],
  ['remembers the hold from before an outage', { ...HELD, source: 'stale' }, /directory is unavailable/],
  ['cannot ask the directory', new MuxError('directory-unavailable', 'Redis: away'), /Redis: away/],
] as const)
  test(`a process that ${what} answers for nothing, and ends nothing`, async () => {
    const { answer, ended } = open([['relaying', 'alice', 'store1']], route)
    const told = await answer
    assert.ok(!told.isHeld)
    assert.match(told.why, why)
    assert.deepEqual(ended, [])
  })
