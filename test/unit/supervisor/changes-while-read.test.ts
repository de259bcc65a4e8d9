/** Files that change after they were read and before they are watched. A million users take 16 s to read. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { loadConfig, type LoadResult } from '../../../src/config/load.ts'
import type { Settings } from '../../../src/config/settings.ts'
import { keepConfiguration } from '../../../src/supervisor/configuration.ts'
import { START_DEADLINE_MS, until } from '../../support/deadline.ts'
import { certificate, MAIN, ROUTING, temporaryDirectory } from '../config/fixture.ts'
import { replace } from '../config/watching.ts'

const SETTLING = `${MAIN}settle: 100ms\n`

type Options = {
  main?: string
  /** called after the files were read, with their directory, before they are watched */
  atStart?: (directory: string) => void
  /** the same for the first reload */
  atReload?: (directory: string) => void
}

function start(t: TestContext, { main = SETTLING, atStart, atReload }: Options) {
  const directory = temporaryDirectory(t)
  const file = (name: string): string => path.join(directory, name)
  const all = { 'mailmux.yaml': main, 'routing.yaml': ROUTING, ...certificate('mail') }
  for (const [name, text] of Object.entries(all)) fs.writeFileSync(file(name), text)
  const loaded = loadConfig(file('mailmux.yaml'), {})
  assert.ok(loaded.settings)
  atStart?.(directory)
  const taken: Settings[] = []
  let loads = 0
  const load = (): LoadResult => {
    const result = loadConfig(file('mailmux.yaml'), {})
    if (++loads === 1) atReload?.(directory)
    return result
  }
  const ignore = (): void => undefined
  const configuration = keepConfiguration(loaded.settings, loaded, {
    load,
    takeOver(settings) {
      taken.push(settings)
      return Promise.resolve()
    },
    log: { debug: ignore, info: ignore, warn: ignore, error: ignore },
    noteShortage: ignore,
    metrics: {
      configurationLoaded: ignore,
      configurationRefused: ignore,
      configurationHeldBack: ignore,
      configurationUnwatched: ignore,
    },
    watching: { debounceMs: 10, retryMs: 50 },
  })
  t.after(() => configuration.close())
  return {
    file,
    configuration,
    loads: () => loads,
    untilTaken: (what: string, isThere: (settings: Settings) => boolean) =>
      until(
        START_DEADLINE_MS,
        () => taken.some(isThere) || undefined,
        () => `${what} was not taken over; ${loads} loads`,
      ),
  }
}

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
