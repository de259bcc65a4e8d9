/** The steps of a move, their failures and what is left behind. In memory, with a virtual clock. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MoveStore } from '../../../src/directory/redis/move-store.ts'
import { moveUser, type MoveOutcome, type MoveParts } from '../../../src/move/move-user.ts'
import { StepFailed } from '../../../src/move/step.ts'
import { createScene, exit, ORDER, quietFleet, round, type Scene } from './model.ts'

/** Runs one move. */
function run(scene: Scene, over: Partial<MoveParts> = {}, stop?: AbortSignal): Promise<MoveOutcome> {
  return scene.clock.drive(moveUser(ORDER, scene.parts(over), stop))
}

function assertRolledBack(scene: Scene, outcome: MoveOutcome, step: string, why: RegExp): void {
  assert.ok(outcome.kind === 'failed', JSON.stringify(outcome))
  assert.equal(outcome.step, step)
  assert.match(outcome.why, why)
  assert.equal(outcome.route, 'old')
  assert.deepEqual(scene.directory.hash, { backend: 'store1' })
}

test('moves a user in seven steps', async () => {
  const scene = createScene()
  const outcome = await run(scene)
  assert.ok(outcome.kind === 'moved')
  assert.ok(outcome.heldMs < 1000, String(outcome.heldMs))
  assert.deepEqual(
    scene.events.filter(({ state }) => state === 'done').map(({ step }) => step),
    ['check', 'copy', 'hold', 'end', 'final', 'switch', 'release'],
  )
  assert.deepEqual(scene.passes, [1, 'final'])
  assert.deepEqual(scene.directory.hash, { backend: 'store2' })
})

test('copies nothing without a command', async () => {
  const scene = createScene()
  assert.equal((await run(scene, { run: undefined })).kind, 'moved')
  assert.ok(!scene.events.some(({ step }) => step === 'copy' || step === 'final'))
})

test('waits between the hold and the final pass for mail that is on its way', async () => {
  const scene = createScene()
  const atMs: number[] = []
  const outcome = await run(scene, {
    settleMs: 31_000,
    async run(_order, pass) {
      if (pass === 'final') atMs.push(scene.clock.nowMs())
      await scene.clock.sleep(10)
      return exit(0)
    },
  })
  assert.equal(outcome.kind, 'moved')
  assert.ok(atMs[0]! >= 31_000)
})

test('reports all that forbids the move, and puts nothing on hold', async () => {
  const scene = createScene()
  const outcome = await run(scene, { check: () => Promise.resolve(['store2 is drained', 'store2 has no pop3']) })
  assertRolledBack(scene, outcome, 'check', /^store2 is drained; store2 has no pop3$/)
  assert.deepEqual(scene.passes, [])
})

test('refuses without an instance, except offline', async () => {
  const fleet = { list: () => Promise.resolve({ live: [], lost: [] }), quiesce: () => Promise.resolve(round({})) }
  const scene = createScene()
  assertRolledBack(scene, await run(scene, { fleet }), 'check', /no instance has a heartbeat/)
  const offline = { fleet, fleetRules: { deadAfterMs: Infinity, isOffline: true } }
  assert.equal((await run(createScene(), offline)).kind, 'moved')
})

test('refuses while an instance is lost, which may be cut off and still serve', async () => {
  const fleet = { ...quietFleet, list: () => Promise.resolve({ live: ['web1'], lost: ['web2'] }) }
  const scene = createScene()
  assertRolledBack(scene, await run(scene, { fleet }), 'check', /^web2 has no heartbeat any more/)
  assert.deepEqual(scene.passes, [])
})

/** A command that ends with these codes in turn, and with 0 after that. */
function codes(scene: Scene, before: number[], final: number[] = []): Pick<MoveParts, 'run'> {
  return {
    async run(_order, pass) {
      scene.passes.push(pass)
      await scene.clock.sleep(100)
      return exit((pass === 'final' ? final : before).shift() ?? 0, 'dsync: words')
    },
  }
}

test('runs the command again after exit 2', async () => {
  const scene = createScene()
  assert.equal((await run(scene, codes(scene, [2, 2], [2]))).kind, 'moved')
  assert.deepEqual(scene.passes, [1, 2, 3, 'final', 'final'])
})

test('goes on to the hold after five runs before it', async () => {
  const scene = createScene()
  assert.equal((await run(scene, codes(scene, [2, 2, 2, 2, 2]))).kind, 'moved')
  assert.deepEqual(scene.passes, [1, 2, 3, 4, 5, 'final'])
})

test('fails for now after five final runs', async () => {
  const scene = createScene()
  const outcome = await run(scene, codes(scene, [], [2, 2, 2, 2, 2]))
  assertRolledBack(
    scene,
    outcome,
    'final',
    /asked to be run again \(exit 2\) in pass final: dsync: words, after 5 runs/,
  )
  assert.ok(outcome.kind === 'failed' && outcome.temporary)
})

test('tries a temporary failure of the command again, after growing pauses', async () => {
  const scene = createScene()
  assert.equal((await run(scene, codes(scene, [75, 75]))).kind, 'moved')
  assert.ok(scene.clock.nowMs() >= 3000)
  const failing = createScene()
  const outcome = await run(failing, codes(failing, [75, 75, 75, 75, 75]))
  assertRolledBack(failing, outcome, 'copy', /failed for now \(exit 75\)/)
  assert.ok(outcome.kind === 'failed' && outcome.temporary)
})

for (const [what, end, why] of [
  ['an exit code', { code: 3 }, /failed with exit 3 in pass/],
  ['a signal', { signal: 'SIGKILL' }, /was ended by SIGKILL/],
  ['a deadline', 'timeout', /was not finished within/],
  ['no start', 'not-run', /could not be started/],
] as const)
  for (const at of [1, 'final'] as const)
    test(`rolls back when the command ends by ${what} in pass ${at}`, async () => {
      const scene = createScene()
      const result = (pass: number | 'final') => (pass === at ? { end, stderr: '' } : exit(0))
      const outcome = await run(scene, { run: (_order, pass) => Promise.resolve(result(pass)) })
      assertRolledBack(scene, outcome, at === 1 ? 'copy' : 'final', why)
    })

test('refuses a second move of the user as temporary, and names the holder and the time', async () => {
  const scene = createScene()
  const first = moveUser(ORDER, scene.parts({ settleMs: 60_000 }))
  await scene.clock.pass(5000)
  const outcome = await scene.clock.drive(moveUser(ORDER, scene.parts({ by: 'admin2/1' })))
  assert.ok(outcome.kind === 'failed')
  assert.equal(outcome.step, 'hold')
  assert.equal(outcome.why, 'the user is being moved by admin1/4711 since 1970-01-01T00:00:00Z')
  assert.equal(outcome.temporary, true)
  assert.equal((await scene.clock.drive(first)).kind, 'moved')
})

test('renews the hold while the final pass runs', async () => {
  const scene = createScene()
  const outcome = await run(scene, {
    async run(_order, pass) {
      await scene.clock.sleep(pass === 'final' ? 300_000 : 1)
      return exit(0)
    },
  })
  assert.equal(outcome.kind, 'moved')
})

test('stops the final pass and rolls back when the hold is gone', async () => {
  const scene = createScene()
  let stoppedAtMs = 0
  const outcome = await run(scene, {
    async run(_order, pass, _deadlineMs, signal) {
      if (pass !== 'final') return exit(0)
      delete scene.directory.hash.status
      delete scene.directory.hash.hold
      await scene.clock.sleep(300_000, signal)
      stoppedAtMs = scene.clock.nowMs()
      return { end: { signal: 'SIGTERM' }, stderr: '' }
    },
  })
  assertRolledBack(scene, outcome, 'final', /the hold was removed/)
  assert.ok(stoppedAtMs < 30_000)
})

test('bears an outage of the directory that is shorter than the hold', async () => {
  const scene = createScene()
  scene.directory.fault = (request) => (request === 'renew' && scene.clock.nowMs() < 35_000 ? 'lost-before' : undefined)
  const outcome = await run(scene, {
    async run(_order, pass) {
      await scene.clock.sleep(pass === 'final' ? 100_000 : 1)
      return exit(0)
    },
  })
  assert.equal(outcome.kind, 'moved')
})

test('fails before the switch when the hold cannot be renewed', async () => {
  const scene = createScene()
  scene.directory.fault = (request) => (request === 'renew' ? 'lost-before' : undefined)
  const outcome = await run(scene, {
    async run(_order, pass, _deadlineMs, signal) {
      await scene.clock.sleep(pass === 'final' ? 100_000 : 1, signal)
      return exit(0)
    },
  })
  assertRolledBack(scene, outcome, 'final', /the hold could not be renewed: Redis: no answer in time/)
  assert.ok(scene.clock.nowMs() < 60_000, 'while the hold is still in force')
})

for (const fault of ['lost-before', 'lost-after'] as const)
  for (const request of ['take', 'switch', 'read'] as const)
    test(`moves although the first answer to ${request} is ${fault}`, async () => {
      const scene = createScene()
      let count = 0
      scene.directory.fault = (one) => (one === request && count++ === 0 ? fault : undefined)
      assert.equal((await run(scene)).kind, 'moved')
      assert.deepEqual(scene.directory.hash, { backend: 'store2' })
    })

test('finds out by a release whether a switch without any answer took place', async () => {
  for (const fault of ['lost-before', 'lost-after'] as const) {
    const scene = createScene()
    scene.directory.fault = (request) => (request === 'switch' ? fault : undefined)
    const outcome = await run(scene)
    if (fault === 'lost-after') assert.equal(outcome.kind, 'moved')
    else assertRolledBack(scene, outcome, 'switch', /not finished within 10 s/)
  }
})

test('says that the route is unknown when the directory is lost with the switch', async () => {
  const scene = createScene()
  let isLost = false
  scene.directory.fault = (request) => {
    if (request === 'switch') isLost = true
    return isLost ? 'lost-after' : undefined
  }
  const outcome = await run(scene)
  assert.ok(outcome.kind === 'failed')
  assert.equal(outcome.route, 'unknown')
  assert.ok(scene.clock.nowMs() >= 60_000, 'until any hold has expired')
  assert.match(scene.events.at(-1)?.detail ?? '', /read the route/)
})

test('leaves a hold that expires when the release is lost', async () => {
  const scene = createScene()
  scene.directory.fault = (request) => (request === 'release' ? 'lost-before' : undefined)
  const outcome = await run(scene, codes(scene, [], [1]))
  assert.ok(outcome.kind === 'failed')
  assert.equal(outcome.route, 'old')
  assert.match(scene.events.at(-1)?.detail ?? '', /it expires within 60 s/)
  await scene.clock.pass(60_000)
  assert.equal(scene.directory.route(), 'store1')
})

test('does not switch a route that another program has changed', async () => {
  const scene = createScene()
  const outcome = await run(scene, {
    run(_order, pass) {
      if (pass === 'final') scene.directory.hash.backend = 'store9'
      return Promise.resolve(exit(0))
    },
  })
  assert.ok(outcome.kind === 'failed')
  assert.match(outcome.why, /another program has changed the route to store9/)
  assert.deepEqual(scene.directory.hash, { backend: 'store9' })
})

test('waits for instances, names those that it waits for, and fails at the deadline', async () => {
  const scene = createScene()
  const quiesce = () =>
    Promise.resolve(round({ web1: 'clear', web2: { left: 2 }, web4: { unsure: 'not on hold here' } }, ['web3']))
  const outcome = await run(scene, { fleet: { ...quietFleet, quiesce } })
  assertRolledBack(scene, outcome, 'end', /not finished within 2 min/)
  assert.ok(
    scene.events.some(({ detail }) => detail === 'sessions on web2; web4: not on hold here; no answer from web3'),
  )
})

/** Of two instances, web2 loses its heartbeat at this moment. */
const losing = (scene: Scene, atMs: number): MoveParts['fleet'] => ({
  ...quietFleet,
  quiesce: () =>
    Promise.resolve(
      scene.clock.nowMs() < atMs ? round({ web1: 'clear' }, ['web2']) : round({ web1: 'clear' }, [], ['web2']),
    ),
})

test('does not count a lost instance as dead by itself', async () => {
  const scene = createScene()
  assertRolledBack(scene, await run(scene, { fleet: losing(scene, 10_000) }), 'end', /not finished within 2 min/)
})

test('counts a lost instance as dead after the time of a heartbeat and a login, if the operator says so', async () => {
  const scene = createScene()
  const fleetRules = { deadAfterMs: 45_000, isOffline: false }
  assert.equal((await run(scene, { fleet: losing(scene, 10_000), fleetRules })).kind, 'moved')
  const end = scene.events.find(({ step, state }) => step === 'end' && state === 'done')
  assert.ok(end!.tookMs! >= 54_000 && end!.tookMs! < 60_000, String(end!.tookMs))
  // Also one that was lost before the move, whose last heartbeat is not known.
  const later = createScene()
  const members = { live: ['web1'], lost: ['web2'] }
  const fleet = { ...losing(later, 0), list: () => Promise.resolve(members) }
  assert.equal((await run(later, { fleet, fleetRules })).kind, 'moved')
  assert.ok(later.clock.nowMs() >= 45_000)
})

test('does not wait for an instance that has stopped in order', async () => {
  const scene = createScene()
  const quiesce = () => Promise.resolve(round({ web1: 'clear' }))
  assert.equal((await run(scene, { fleet: { ...quietFleet, quiesce } })).kind, 'moved')
  assert.ok(scene.clock.nowMs() < 2000)
})

test('rolls back when a session has begun during the hold', async () => {
  const scene = createScene()
  const quiesce = () => Promise.resolve(round({ web1: scene.passes.includes('final') ? { left: 1 } : 'clear' }))
  const outcome = await run(scene, { fleet: { ...quietFleet, quiesce } })
  assertRolledBack(scene, outcome, 'final', /during the hold, at store1: sessions on web1/)
})

test('rolls back when an instance does not see the hold any more after the final pass', async () => {
  const scene = createScene()
  // Its clock has gone ahead by more than a minute, so that the hold seems to have expired.
  const unsure = { unsure: 'the user is not on hold here' }
  const quiesce = () => Promise.resolve(round({ web1: scene.passes.includes('final') ? unsure : 'clear' }))
  const outcome = await run(scene, { fleet: { ...quietFleet, quiesce } })
  assertRolledBack(scene, outcome, 'final', /during the hold, at store1: web1: the user is not on hold here/)
  assert.ok(outcome.kind === 'failed' && outcome.temporary)
  assert.ok(scene.clock.nowMs() < 30_000, 'the wait is bounded')
})

test('asks again when an instance could not look the hold up for a moment after the final pass', async () => {
  const scene = createScene()
  let asked = 0
  const quiesce = () => {
    const isDoubtful = scene.passes.includes('final') && ++asked < 3
    return Promise.resolve(round({ web1: isDoubtful ? { unsure: 'the route of the user is not known' } : 'clear' }))
  }
  assert.equal((await run(scene, { fleet: { ...quietFleet, quiesce } })).kind, 'moved')
  assert.equal(asked, 3)
})

test('holds no user whose target was taken out of service during the copy', async () => {
  const scene = createScene()
  const check = () => Promise.resolve(scene.passes.length > 0 ? ['the state of store2 is drain, not up'] : [])
  const outcome = await run(scene, { check })
  assertRolledBack(scene, outcome, 'hold', /^the state of store2 is drain, not up$/)
  assert.deepEqual(scene.passes, [1])
})

for (const step of ['check', 'copy', 'hold', 'end', 'settle', 'final', 'switch', 'release'])
  test(`an interruption in the step ${step} ${step === 'release' ? 'undoes nothing' : 'rolls back'}`, async () => {
    const scene = createScene()
    const stop = new AbortController()
    const outcome = await run(
      scene,
      {
        settleMs: 10_000,
        tell(event) {
          scene.events.push(event)
          if (event.step === step && event.state === 'begin') stop.abort(new StepFailed('interrupted'))
        },
        async run(_order, _pass, _deadlineMs, signal) {
          await scene.clock.sleep(200, signal)
          return signal.aborted ? { end: { signal: 'SIGTERM' }, stderr: '' } : exit(0)
        },
      },
      stop.signal,
    )
    if (step === 'release') {
      assert.equal(outcome.kind, 'moved')
      return
    }
    assertRolledBack(scene, outcome, step, /interrupted/)
    assert.ok(outcome.kind === 'failed' && outcome.temporary, 'the same order may be given again')
  })

test('waits for the command to end before the hold is released', async () => {
  const scene = createScene()
  const stop = new AbortController()
  const order: string[] = []
  const release: MoveStore['release'] = (user, token) => {
    order.push('release')
    return scene.directory.release(user, token)
  }
  await run(
    scene,
    {
      store: { ...scene.directory, release },
      async run(_request, pass, _deadlineMs, signal) {
        if (pass !== 'final') return exit(0)
        stop.abort(new StepFailed('interrupted'))
        await scene.clock.sleep(2000)
        assert.ok(signal.aborted)
        order.push('command has ended')
        return exit(0)
      },
    },
    stop.signal,
  )
  assert.deepEqual(order, ['command has ended', 'release'])
})

/** Another program changes the hash while the command runs in this pass. */
function changing(scene: Scene, at: 1 | 'final', hash: { backend?: string }): Pick<MoveParts, 'run'> {
  return {
    async run(_order, pass) {
      scene.passes.push(pass)
      await scene.clock.sleep(100)
      if (pass === at) scene.directory.hash = { ...hash }
      return exit(0)
    },
  }
}

for (const at of [1, 'final'] as const)
  for (const [what, hash] of [
    ['removed', {}],
    ['removed and created again elsewhere', { backend: 'store3' }],
  ] as const)
    test(`says that the user was ${what} during pass ${at}, and writes nothing to the new state`, async () => {
      const scene = createScene()
      const outcome = await run(scene, changing(scene, at, hash))
      assert.ok(outcome.kind === 'failed', JSON.stringify(outcome))
      assert.deepEqual(outcome.now, { backend: 'backend' in hash ? hash.backend : undefined })
      assert.equal(outcome.temporary, false)
      assert.deepEqual(scene.directory.hash, hash)
    })

test('is no temporary failure if instances miss the hold of a removed user', async () => {
  const scene = createScene()
  const fleet = {
    ...quietFleet,
    quiesce: () =>
      Promise.resolve(round({ web1: scene.directory.hash.backend === undefined ? { unsure: 'no hold' } : 'clear' })),
  }
  const outcome = await run(scene, { fleet, ...changing(scene, 'final', {}) })
  assert.ok(outcome.kind === 'failed')
  assert.deepEqual([outcome.step, outcome.temporary, outcome.now], ['final', false, { backend: undefined }])
})

test('says that the user was removed when the check after the copy refuses', async () => {
  const scene = createScene()
  let checks = 0
  const check = () => Promise.resolve(++checks === 1 ? [] : ['the directory has no route of the user'])
  const outcome = await run(scene, { check, ...changing(scene, 1, {}) })
  assert.ok(outcome.kind === 'failed')
  assert.deepEqual([outcome.step, outcome.now], ['hold', { backend: undefined }])
})

test('gives no change of the route where there is none', async () => {
  const scene = createScene()
  const outcome = await run(scene, codes(scene, [3]))
  assert.ok(outcome.kind === 'failed' && !('now' in outcome))
})
