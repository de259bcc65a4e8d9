/** The answer to an order to reload, and the errors of the last reload that has failed. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { test } from 'node:test'
import { ROUTING } from '../config/fixture.ts'
import { SETTLING, start } from './kept-configuration.ts'

test('a reload tells what has changed', async (t) => {
  const { file, configuration } = start(t, {})
  assert.deepEqual(await configuration.reload(), { outcome: 'applied', changes: [], warnings: [], late: [] })
  fs.writeFileSync(file('routing.yaml'), `${ROUTING}  bob@example.test: store1\n`)
  const result = await configuration.reload()
  assert.equal(result.outcome, 'applied')
  assert.deepEqual(result.changes, [{ what: 'users', change: 'changed', text: 'users: 1 added' }])
})

test('a reload of files with errors tells each of them, and they are remembered until a reload succeeds', async (t) => {
  const { file, configuration } = start(t, {})
  const begunMs = Date.now()
  const loadedMs = configuration.status().loadedMs
  fs.writeFileSync(file('routing.yaml'), 'backends: 1\nusers: 2\n')
  const result = await configuration.reload()
  assert.equal(result.outcome, 'refused')
  assert.equal(result.errors.length, 2)
  for (const error of result.errors) assert.match(error, /routing\.yaml:\d+:\d+: error: /)
  const { failure, ...rest } = configuration.status()
  assert.deepEqual([failure?.errors, rest], [result.errors, { loadedMs }])
  assert.ok(failure && failure.atMs >= begunMs)
  assert.deepEqual(
    failure.excerpts?.map((one) => one.split('\n').slice(1)),
    [
      ['backends: 1', '          ^'],
      ['users: 2', '       ^'],
    ],
  )
  fs.writeFileSync(file('routing.yaml'), ROUTING)
  assert.equal((await configuration.reload()).outcome, 'applied')
  assert.equal(configuration.status().failure, undefined)
})

test('a reload whose files cannot be read tells why', async (t) => {
  const { configuration } = start(t, {
    beforeLoad: () => {
      throw new Error('the process that reads the configuration has ended: exit code 1')
    },
    retryMs: 3_600_000,
  })
  const errors = ['the configuration cannot be read: the process that reads the configuration has ended: exit code 1']
  assert.deepEqual(await configuration.reload(), { outcome: 'refused', errors })
  assert.deepEqual(configuration.status().failure?.errors, errors)
})

test('settings that the workers cannot take over change nothing', async (t) => {
  const why = 'listener imap: cannot listen on 127.0.0.1:143: the port is in use'
  let isRefusing = true
  const { file, configuration, log, refused } = start(t, {
    beforeTakeOver() {
      if (isRefusing) throw new Error(why)
    },
  })
  fs.writeFileSync(file('mailmux.yaml'), `${SETTLING}hostname: other.example.test\n`)
  assert.deepEqual(await configuration.reload(), { outcome: 'refused', errors: [why] })
  assert.notEqual(configuration.current().hostname, 'other.example.test')
  assert.deepEqual([log, refused()], [[{ fields: { problem: why }, text: 'configuration not taken over' }], 1])
  assert.deepEqual(configuration.status().failure?.errors, [why])
  isRefusing = false
  assert.equal((await configuration.reload()).outcome, 'applied')
  assert.equal(configuration.current().hostname, 'other.example.test')
})

test('a comparison tells what a reload would change, and changes nothing', async (t) => {
  const { file, configuration, loads } = start(t, { main: SETTLING.replace('settle: 100ms', 'reload: signal') })
  assert.deepEqual(await configuration.compare(), { changes: [], restart: [] })
  fs.writeFileSync(
    file('mailmux.yaml'),
    `${SETTLING.replace('settle: 100ms', 'reload: signal')}hostname: other.example.test\nworkers: 4\n`,
  )
  const before = loads()
  const [one, other] = await Promise.all([configuration.compare(), configuration.compare()])
  assert.ok('changes' in one && one === other)
  assert.equal(loads(), before + 1)
  assert.deepEqual([one.changes.map(({ what }) => what), one.restart], [['hostname'], ['workers']])
  assert.notEqual(configuration.current().hostname, 'other.example.test')
  fs.writeFileSync(file('mailmux.yaml'), 'listeners: 1\n')
  const broken = await configuration.compare()
  assert.ok('errors' in broken && broken.errors.length > 0)
  assert.equal(configuration.status().failure, undefined)
})

test('only an operator changes `workers` between 1 and several, as the process of the service is another one then', async (t) => {
  const { file, configuration, untilTaken, warnings } = start(t, { mayHandOver: true })
  fs.writeFileSync(file('mailmux.yaml'), `${SETTLING}hostname: other.example.test\nworkers: 4\n`)
  await untilTaken('the host name', ({ hostname }) => hostname === 'other.example.test')
  assert.equal(configuration.current().workers, 1)
  const hint = '`mailmux reload` or SIGHUP changes workers without a restart'
  assert.deepEqual(warnings, [{ restart: ['workers'], hint }])
  const compared = await configuration.compare()
  assert.ok('changes' in compared)
  assert.deepEqual(compared.restart, [])
  const text =
    'workers: 1 becomes 4: a new generation takes over, and running sessions end at safe points within shutdown_grace'
  assert.deepEqual(compared.changes, [{ what: 'workers', change: 'changed', text }])
  const result = await configuration.reload()
  assert.ok(result.outcome === 'applied')
  assert.deepEqual(result.changes, compared.changes)
  assert.equal(configuration.current().workers, 4)
})

test('stays with its number of workers where no generation can take over', async (t) => {
  const { file, configuration, warnings } = start(t, { main: SETTLING.replace('settle: 100ms', 'reload: signal') })
  fs.writeFileSync(file('mailmux.yaml'), `${SETTLING.replace('settle: 100ms', 'reload: signal')}workers: 4\n`)
  const result = await configuration.reload()
  assert.ok(result.outcome === 'applied')
  assert.deepEqual([result.changes, configuration.current().workers], [[], 1])
  assert.deepEqual(warnings, [{ restart: ['workers'] }])
})
