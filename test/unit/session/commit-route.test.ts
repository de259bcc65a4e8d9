/** A route is committed only if it is a new user's: after the back end has accepted the login, and before the session can relay. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { MuxError } from '../../../src/errors.ts'
import type { RouteSource } from '../../../src/routing/router.ts'
import { byPassword, openSite, startStore } from '../login/login-fixture.ts'

type Play = {
  source: RouteSource
  word?: 'OK' | 'NO'
  /** the directory's answer to a commit, one turn of the event loop later */
  answer?: () => void
}

/** The steps of one login with a route from `source`, in order. */
async function play(t: TestContext, { source, word = 'OK', answer = () => undefined }: Play): Promise<string[]> {
  const steps: string[] = []
  const port = await startStore(t, (line, say) => {
    steps.push(`back end: ${word}`)
    say(`${line.split(' ')[0] ?? ''} ${word} done`)
  })
  const commit = async (user: string, backend: string): Promise<void> => {
    steps.push(`commit ${user} at ${backend}`)
    await nextTurn()
    steps.push('commit answered')
    answer()
  }
  const site = openSite(t, port, {}, undefined, { source, commit })
  const result = await site.login(site.connect(), byPassword('alice'))
  steps.push(result.accepted ? 'accepted' : result.refusal.reason)
  assert.equal(
    site.lines.some(({ message }) => message === 'login accepted'),
    result.accepted,
  )
  if (result.accepted) result.backend.close()
  return steps
}

for (const source of ['static', 'directory', 'cache', 'stale', 'snapshot', 'domain'] as const) {
  test(`commits no route whose source is '${source}'`, async (t) => {
    assert.deepEqual(await play(t, { source }), ['back end: OK', 'accepted'])
  })
}

test('commits the route of a new user, and accepts the login after the answer', async (t) => {
  const steps = await play(t, { source: 'placed' })
  assert.deepEqual(steps, ['back end: OK', 'commit alice at store-1', 'commit answered', 'accepted'])
})

test('commits no route of a new user whose login the back end refuses', async (t) => {
  assert.deepEqual(await play(t, { source: 'placed', word: 'NO' }), ['back end: NO', 'authentication-failed'])
})

test('refuses the login of a new user whose route cannot be committed', async (t) => {
  const answer = (): never => {
    throw new MuxError('directory-unavailable', 'as scripted')
  }
  const steps = await play(t, { source: 'placed', answer })
  assert.deepEqual(steps, ['back end: OK', 'commit alice at store-1', 'commit answered', 'unavailable'])
})
