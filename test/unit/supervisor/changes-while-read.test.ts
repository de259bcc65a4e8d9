/** Files that change after they were read and before they are watched. A million users take 16 s to read. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import type { Settings } from '../../../src/config/settings.ts'
import { MAIN, ROUTING } from '../config/fixture.ts'
import { replace } from '../config/watching.ts'
import { SETTLING, start } from './kept-configuration.ts'

const WITH_BOB = `${ROUTING}  bob@example.test: store1\n`
const hasBob = ({ routing }: Settings): boolean => routing.users.has('bob@example.test')

for (const [how, change] of Object.entries({
  replaced: (directory: string) => replace(path.join(directory, 'routing.yaml'), WITH_BOB),
  'written in place': (directory: string) => fs.writeFileSync(path.join(directory, 'routing.yaml'), WITH_BOB),
}))
  test(`takes over a file that was ${how} after the start has read it`, async (t) => {
    const { untilTaken, loads } = start(t, { atStart: change })
    await untilTaken('the new user', hasBob)
    assert.equal(loads(), 1)
  })

test('takes over a file that a reload reads for the first time, and that changes during this reload', async (t) => {
  const { file, untilTaken } = start(t, {
    atReload: (directory) => replace(path.join(directory, 'other.yaml'), WITH_BOB),
  })
  fs.writeFileSync(file('other.yaml'), ROUTING)
  replace(file('mailmux.yaml'), `${SETTLING}routing: other.yaml\n`)
  await untilTaken('the new user', hasBob)
})

test('takes over what has changed since the start, once the files are watched', async (t) => {
  const { file, configuration, untilTaken } = start(t, {
    main: `${MAIN}reload: signal\n`,
    atReload: (directory) => replace(path.join(directory, 'routing.yaml'), WITH_BOB),
  })
  fs.writeFileSync(file('mailmux.yaml'), SETTLING)
  await configuration.reload()
  await untilTaken('the new user', hasBob)
})

test('reads nothing again if nothing has changed since the start', async (t) => {
  const { file, loads, untilTaken } = start(t, {})
  replace(file('routing.yaml'), WITH_BOB)
  await untilTaken('the new user', hasBob)
  assert.equal(loads(), 1)
})
