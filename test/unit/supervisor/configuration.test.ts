/** Files that change under a running instance: half written, replaced, confirmed, and in directories that cannot be watched. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test, type TestContext } from 'node:test'
import { loadConfig } from '../../../src/config/load.ts'
import type { Settings } from '../../../src/config/settings.ts'
import { watchFiles } from '../../../src/config/watch.ts'
import { keepConfiguration } from '../../../src/supervisor/configuration.ts'
import { until, within } from '../../support/deadline.ts'
import { certificate, MAIN, temporaryDirectory } from '../config/fixture.ts'
import { replace } from '../config/watching.ts'

const DEADLINE_MS = 20_000
const SETTLE_MS = 300

type Options = { settle?: string; more?: string; retryMs?: number }

const BACKENDS = 'backends:\n  store1: {host: 10.0.0.11, imap: 143}\n  store2: {host: 10.0.0.12, imap: 143}\n'

function routing(users: number, backends = BACKENDS): string {
  const lines = Array.from({ length: users }, (_, index) => `  user${1000 + index}@example.test: store1\n`)
  return `${backends}users:\n${lines.join('')}`
}

/** A configuration of 100 users that is followed. */
function follow(t: TestContext, { settle = `${SETTLE_MS}ms`, more = '', retryMs = 50 }: Options = {}) {
  const directory = temporaryDirectory(t)
  const file = (name: string): string => path.join(directory, name)
  const main = `${MAIN}${settle === '' ? '' : `settle: ${settle}\n`}${more}`
  const all = { 'mailmux.yaml': main, 'routing.yaml': routing(100), ...certificate('mail') }
  for (const [name, text] of Object.entries(all)) fs.writeFileSync(file(name), text)
  const loaded = loadConfig(file('mailmux.yaml'), {})
  let loads = 0
  let gate = Promise.resolve<undefined>(undefined)
  const load = async () => {
    loads++
    const result = loadConfig(file('mailmux.yaml'), {})
    await gate
    return result
  }
  assert.ok(loaded.settings)
  const log: string[] = []
  const taken: Settings[] = []
  const gauges = { heldBack: false, unwatched: false }
  const fields: { text: string | undefined; fields: unknown }[] = []
  const note = (about: unknown, text?: string) => {
    log.push(text ?? String(about))
    fields.push({ text, fields: about })
  }
  const configuration = keepConfiguration(loaded.settings, loaded, {
    load,
    takeOver: (settings) => {
      taken.push(settings)
      return Promise.resolve([])
    },
    mayHandOver: () => false,
    log: { debug: note, info: note, warn: note, error: note },
    noteShortage: (_place, detail) => void log.push(detail),
    metrics: {
      configurationLoaded: () => undefined,
      configurationRefused: () => undefined,
      configurationNotRead: () => undefined,
      configurationHeldBack: (is: boolean) => (gauges.heldBack = is),
      configurationUnwatched: (is: boolean) => (gauges.unwatched = is),
    },
    watching: { debounceMs: 10, retryMs },
  })
  t.after(() => configuration.close())
  return {
    file,
    routingFile: file('routing.yaml'),
    main,
    log,
    fields,
    taken,
    gauges,
    configuration,
    loads: {
      count: () => loads,
      begun: (count: number) =>
        until(
          DEADLINE_MS,
          () => loads >= count || undefined,
          () => `${loads} loads have begun`,
        ),
    },
    /** Loads read the files, and give what they found when this is called. */
    holdLoads: () => {
      const { promise, resolve } = Promise.withResolvers<undefined>()
      gate = promise
      return () => resolve(undefined)
    },
    users: () => taken.at(-1)?.routing.users.size,
    untilLogged: (text: string, times = 1) =>
      until(
        DEADLINE_MS,
        () => log.filter((line) => line === text).length >= times || undefined,
        () => `no ${times} lines "${text}" in ${log.join('; ')}`,
      ),
  }
}

/** Settles when a watcher of the test has reported the next change. */
function untilNoticed(t: TestContext, file: string): Promise<void> {
  return within(
    DEADLINE_MS,
    new Promise((resolve) => {
      const watcher = watchFiles(
        () => [file],
        () => resolve(),
        { settleMs: () => 0 },
      )
      t.after(() => watcher.close())
    }),
    () => 'no watcher has told of the change',
  )
}

const TAKEN_OVER = 'configuration taken over'
const HELD_BACK = 'configuration held back'

test('takes over a file written in place once it has rested', async (t) => {
  const { routingFile, untilLogged, users, taken } = follow(t)
  // A writer that pauses: each half is valid, and the first has lost nothing.
  const text = routing(140)
  const half = text.indexOf('user1120')
  fs.writeFileSync(routingFile, text.slice(0, text.lastIndexOf('\n', half) + 1))
  const written = performance.now()
  setTimeout(() => fs.appendFileSync(routingFile, text.slice(text.lastIndexOf('\n', half) + 1)), SETTLE_MS / 3)
  await untilLogged(TAKEN_OVER)
  assert.ok(performance.now() - written >= SETTLE_MS)
  assert.equal(users(), 140)
  assert.equal(taken.length, 1)
})

test('takes over a file that arrives by rename without waiting for it to rest', async (t) => {
  const { routingFile, untilLogged, users } = follow(t, { settle: '5m' })
  replace(routingFile, routing(120))
  await untilLogged(TAKEN_OVER)
  assert.equal(users(), 120)
})

test('reads no file that arrived by rename together with one that is half written', async (t) => {
  const { file, routingFile, main, untilLogged, users, taken } = follow(t, { settle: '1s' })
  fs.writeFileSync(routingFile, routing(110))
  replace(file('mailmux.yaml'), `${main}hostname: other.example.test\n`)
  await untilLogged(TAKEN_OVER)
  assert.deepEqual([users(), taken.length, taken[0]?.hostname], [110, 1, 'other.example.test'])
})

for (const [what, text] of Object.entries({
  'more than a tenth of its users': routing(89),
  'a back end': routing(100, BACKENDS.replace(/ {2}store2.*\n/, '')),
})) {
  test(`holds back a file written in place that lost ${what}, until it changes again`, async (t) => {
    const { routingFile, untilLogged, users, taken, gauges, configuration } = follow(t)
    fs.writeFileSync(routingFile, text)
    await untilLogged(HELD_BACK)
    assert.deepEqual([taken.length, gauges.heldBack], [0, true])
    const { file, why = '' } = configuration.heldBack() ?? {}
    assert.equal(file, routingFile)
    assert.match(why, /^it lacks (11 of 100 users|the back end store2) of the file in force$/)
    fs.writeFileSync(routingFile, routing(101))
    await untilLogged(TAKEN_OVER)
    assert.deepEqual([users(), gauges.heldBack, configuration.heldBack()], [101, false, undefined])
  })

  test(`takes over a file that arrives by rename although it lost ${what}`, async (t) => {
    const { routingFile, untilLogged, taken } = follow(t)
    replace(routingFile, text)
    await untilLogged(TAKEN_OVER)
    assert.equal(taken.length, 1)
  })

  test(`takes over a file that was held back as it lost ${what} when SIGHUP confirms it`, async (t) => {
    const { routingFile, untilLogged, taken, log, configuration } = follow(t)
    fs.writeFileSync(routingFile, text)
    await untilLogged(HELD_BACK)
    await configuration.reload()
    assert.deepEqual([taken.length, configuration.heldBack()], [1, undefined])
    assert.deepEqual(log, [HELD_BACK, TAKEN_OVER])
  })
}

test('takes over another file that changes while the routing file is held back, which stays so', async (t) => {
  const { file, routingFile, main, untilLogged, taken, users, configuration, gauges } = follow(t)
  fs.writeFileSync(routingFile, routing(50))
  await untilLogged(HELD_BACK)
  replace(file('mailmux.yaml'), `${main}hostname: other.example.test\n`)
  await untilLogged(TAKEN_OVER)
  assert.deepEqual([taken.length, taken[0]?.hostname, users()], [1, 'other.example.test', 100])
  assert.deepEqual([configuration.heldBack()?.file, gauges.heldBack], [routingFile, true])
  await configuration.reload()
  assert.deepEqual([taken.length, users(), configuration.heldBack()], [2, 50, undefined])
})

test('keeps all files held back where mailmux.yaml would read the users in force in another way', async (t) => {
  const { file, routingFile, main, untilLogged, taken, log } = follow(t)
  fs.writeFileSync(routingFile, routing(50))
  await untilLogged(HELD_BACK)
  replace(file('mailmux.yaml'), `${main}user_case: lower\n`)
  await untilLogged(HELD_BACK, 2)
  assert.deepEqual([taken.length, log.includes(TAKEN_OVER)], [0, false])
})

test('names the ways out in the log line of a file that is held back', async (t) => {
  const { routingFile, untilLogged, fields } = follow(t)
  fs.writeFileSync(routingFile, routing(50))
  await untilLogged(HELD_BACK)
  const told = JSON.stringify(fields.find(({ text }) => text === HELD_BACK))
  assert.match(told, /rename.*SIGHUP.*mailmux explain.*docs\/operations\.md/)
})

test('makes one further load of all that is asked for while one is under way', async (t) => {
  const { configuration, loads, taken, holdLoads } = follow(t, { settle: '', more: 'reload: signal\n' })
  const release = holdLoads()
  const reloads = Array.from({ length: 300 }, () => configuration.reload())
  await loads.begun(1)
  reloads.push(configuration.reload(), configuration.reload())
  release()
  await Promise.all(reloads)
  assert.deepEqual([loads.count(), taken.length], [2, 2])
})

test('takes over nothing that was being loaded when it was closed', async (t) => {
  const { configuration, loads, taken, log, holdLoads } = follow(t)
  const release = holdLoads()
  const reloaded = configuration.reload()
  await loads.begun(1)
  configuration.close()
  release()
  const errors = ['mailmux takes no reload any more: it is being stopped or drained']
  assert.deepEqual(await reloaded, { outcome: 'refused', errors })
  assert.deepEqual([taken.length, log], [0, []])
})

test('holds back a file that is written while another load is under way', async (t) => {
  const { configuration, loads, routingFile, untilLogged, taken, users, holdLoads } = follow(t)
  const release = holdLoads()
  const reloaded = configuration.reload()
  await loads.begun(1)
  fs.writeFileSync(routingFile, routing(50))
  release()
  await reloaded
  await untilLogged(HELD_BACK)
  assert.deepEqual([taken.length, users()], [1, 100])
})

test('takes over a file written in place that lost a tenth of its users', async (t) => {
  const { routingFile, untilLogged, users } = follow(t)
  fs.writeFileSync(routingFile, routing(90))
  await untilLogged(TAKEN_OVER)
  assert.equal(users(), 90)
})

test('with reload: signal a changed file has no effect until reload is called', async (t) => {
  const followed = follow(t, { settle: '', more: 'reload: signal\n' })
  const { routingFile, untilLogged, taken, log, users, configuration, file, main } = followed
  const noticed = untilNoticed(t, routingFile)
  replace(routingFile, routing(120))
  await noticed // so that the change would have been told here too, by now
  assert.deepEqual([taken.length, log], [0, []])
  await configuration.reload()
  assert.equal(users(), 120)
  // and the other way: from now on the files are watched
  replace(file('mailmux.yaml'), main.replace('reload: signal', 'settle: 10ms'))
  await configuration.reload()
  replace(routingFile, routing(130))
  await untilLogged(TAKEN_OVER, 3)
  assert.equal(users(), 130)
})

test('tries again to watch when inotify was exhausted, says so once, and notices what changed meanwhile', async (t) => {
  const real = fs.watch
  const watch = t.mock.method(fs, 'watch', (() => {
    throw Object.assign(new Error('EMFILE'), { code: 'EMFILE' })
  }) as unknown as typeof fs.watch)
  const { routingFile, untilLogged, users, log, gauges } = follow(t)
  await until(
    DEADLINE_MS,
    () => watch.mock.callCount() > 3 || undefined,
    () => 'not tried again',
  )
  assert.deepEqual([log, gauges.unwatched], [['configuration files cannot be watched'], true])
  replace(routingFile, routing(120))
  await untilLogged(TAKEN_OVER)
  assert.equal(users(), 120)
  watch.mock.mockImplementation(real)
  await untilLogged('configuration files are watched again')
  assert.equal(gauges.unwatched, false)
  replace(routingFile, routing(130))
  await untilLogged(TAKEN_OVER, 2)
  assert.equal(users(), 130)
})

test('tries again to watch on SIGHUP', async (t) => {
  const real = fs.watch
  const watch = t.mock.method(fs, 'watch', (() => {
    throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' })
  }) as unknown as typeof fs.watch)
  const { gauges, configuration, log } = follow(t, { retryMs: 3_600_000 })
  assert.equal(gauges.unwatched, true)
  watch.mock.mockImplementation(real)
  await configuration.reload()
  assert.equal(gauges.unwatched, false)
  assert.deepEqual(log, ['configuration files cannot be watched', TAKEN_OVER, 'configuration files are watched again'])
})
