/** The order of an upgrade, with a shell script in place of the new version: one at a time, and none once mailmux is being stopped. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { Secret } from '../../../../src/secret.ts'
import type { Program } from '../../../../src/supervisor/generation/successor.ts'
import { NO_ELDERS } from '../../../../src/supervisor/generation/no-predecessor.ts'
import { createUpgrades } from '../../../../src/supervisor/generation/upgrades.ts'
import { until } from '../../../support/deadline.ts'
import { keepLog } from '../../backend/fixture.ts'

const DEADLINE_MS = 20_000
const FACTS = JSON.stringify({ mailmux: '9.9.9', handover: 1 })

/** The script answers the check once the file `go` exists, and notes each of its starts. As the new version it ends at once. */
function open(t: TestContext, whyNotNow?: string) {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mailmux-upgrade-'))
  t.after(() => fs.rmSync(directory, { recursive: true }))
  const [script, starts, go] = ['script', 'starts', 'go'].map((name) => path.join(directory, name)) as [
    string,
    string,
    string,
  ]
  const wait = `while [ ! -e '${go}' ]; do sleep 0.05; done; echo '${FACTS}'`
  fs.writeFileSync(script, `#!/bin/sh\necho "$1" >> '${starts}'\n[ "$1" = run ] && exit 1\n${wait}\n`, { mode: 0o755 })
  fs.writeFileSync(starts, '')
  const stopping = new AbortController()
  const ended: string[] = []
  const withArgs = (file: string | undefined, order: string): Program => ({ command: file ?? script, args: [order] })
  const upgrade = createUpgrades({
    program: {
      check: (file) => withArgs(file, 'check'),
      run: (file) => withArgs(file, 'run'),
      whyNot: undefined,
      uid: process.getuid?.() ?? 0,
    },
    generation: 1,
    ticketSecret: new Secret('s'),
    serviceManager: undefined,
    sockets: () => [],
    reloads: () => 0,
    blocks: () => [],
    counts: {
      held: () => undefined,
      give: () => Promise.resolve(),
      lease: () => Promise.resolve(new Map()),
      takeBack: () => undefined,
    },
    answers: NO_ELDERS,
    whyNotNow: () => whyNotNow,
    onServes: () => ended.push('served'),
    onAbandoned: () => undefined,
    stopping: stopping.signal,
    log: keepLog().log,
    metrics: { upgradeEnded: (outcome) => void ended.push(outcome) },
  })
  const listStarts = (): string[] => fs.readFileSync(starts, 'utf8').split('\n').slice(0, -1)
  return { upgrade, script, stopping, ended, listStarts, letGo: () => fs.writeFileSync(go, '') }
}

for (const named of [false, true]) {
  const what = named ? 'a program that is named' : 'this program'

  test(`of two upgrades at once to ${what}, one is refused`, async (t) => {
    const { upgrade, script, ended, listStarts, letGo } = open(t)
    const order = { program: named ? script : undefined }
    const both = [upgrade(order), upgrade(order)]
    assert.deepEqual(await Promise.race(both), { error: 'an upgrade is under way' })
    letGo()
    const answers = await Promise.all(both)
    assert.equal(
      answers.filter((answer) => 'error' in answer && /has ended before it served/u.test(answer.error)).length,
      1,
    )
    assert.deepEqual(listStarts(), ['check', 'run'])
    assert.deepEqual(ended, ['refused', 'failure'])
  })
}

test('a mailmux that cannot hand over now says so, with the cause', async (t) => {
  const { upgrade, ended, listStarts } = open(t, 'draining')
  assert.deepEqual(await upgrade({}), { error: 'mailmux takes no upgrade now: draining' })
  assert.deepEqual(ended, ['refused'])
  assert.deepEqual(listStarts(), [])
})

test('a stop during the check of the new version starts none', async (t) => {
  const { upgrade, stopping, listStarts, letGo } = open(t)
  const answer = upgrade({})
  await until(
    DEADLINE_MS,
    () => listStarts().length === 1 || undefined,
    () => 'no check',
  )
  stopping.abort()
  letGo()
  assert.deepEqual(await answer, { error: 'mailmux is being stopped' })
  assert.deepEqual(listStarts(), ['check'])
})

test('an upgrade that has failed does not stand in the way of the next', async (t) => {
  const { upgrade, listStarts, letGo } = open(t)
  letGo()
  for (let n = 0; n < 2; n++) {
    const answer = await upgrade({})
    assert.match('error' in answer ? answer.error : '', /has ended before it served/u)
  }
  assert.deepEqual(listStarts(), ['check', 'run', 'check', 'run'])
})
