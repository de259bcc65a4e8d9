/** What the status page calls wrong, and in which order. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeHealth, describeState, findProblems, summarise } from '../../../../src/admin/page/problems.js'
import { backendStatus, sampleOf, statusOf, DAY_MS } from '../../../support/a-status.ts'

const textsOf = (...given: Parameters<typeof findProblems>) =>
  findProblems(...given).map(({ severity, section, text }) => `${severity} ${section}: ${text}`)

test('finds nothing wrong where nothing is', () => {
  assert.deepEqual(findProblems(statusOf({})), [])
  assert.deepEqual(summarise([]), { tone: 'good', text: 'Everything is well.' })
})

test('tells what stops mail before what needs attention, and orders of operators last', () => {
  const down = { state: 'down', lastError: 'backend-unreachable' } as const
  const status = statusOf({
    backends: [
      backendStatus('store1', { state: 'drain', load: { sessions: 3 } }),
      backendStatus('store2', { up: false, addresses: [down, down] }),
      backendStatus('store3', { addresses: [{}, down], load: { waiting: 1 } }),
    ],
    directory: { kind: 'redis', up: false, dataLost: false, lastUpMs: 90_000 },
    nowMs: 100_000,
  })
  assert.deepEqual(textsOf(status), [
    'bad backends: store2 cannot be reached (backend-unreachable).',
    'bad directory: The directory does not answer since 10 s. Remembered routes stand in.',
    'warn backends: 1 of 2 addresses of store3 is down (backend-unreachable).',
    'warn backends: 1 login waits for store3.',
    'note backends: store1 is being drained, with 3 sessions here.',
  ])
  assert.deepEqual(summarise(findProblems(status)), {
    tone: 'bad',
    text: '2 things are wrong, and 2 more need attention.',
  })
})

test('calls it well while only orders of operators are in force', () => {
  const status = statusOf({
    backends: [backendStatus('store1', { state: 'pause' }), backendStatus('store2', { state: 'down', up: false })],
  })
  assert.deepEqual(textsOf(status), [
    'note backends: store1 is paused: its logins wait.',
    'note backends: store2 is set down: its logins are refused.',
  ])
  assert.equal(summarise(findProblems(status)).tone, 'good')
})

test('warns of a certificate in its last two weeks, and calls its last days wrong', () => {
  const texts = [14, 13.5, 2, -1].map((days) => {
    const certificates = [{ file: 'c.pem', notAfterMs: days * DAY_MS, names: [] }]
    return textsOf(statusOf({ certificates, nowMs: 0 })).join()
  })
  assert.deepEqual(texts, [
    '',
    'warn listeners: The certificate c.pem expires in 13 days.',
    'bad listeners: The certificate c.pem expires in 2 days.',
    'bad listeners: The certificate c.pem has expired: mail programs refuse it.',
  ])
})

test('tells of workers, readiness, connections, instances and the configuration', () => {
  const instance = { id: 'ab', host: 'mx2', state: 'silent', self: false } as const
  const status = statusOf({
    notReady: 'draining',
    workers: ['up', 'ended'],
    connections: { open: 95, max: 100 },
    instances: { instances: [instance], scope: 'all' },
    config: {
      file: 'm.yaml',
      loadedMs: 0,
      failure: { atMs: 40_000, errors: ['m.yaml:1:1: error'] },
      heldBack: { file: 'r.yaml', why: 'fewer users' },
    },
    nowMs: 100_000,
  })
  assert.deepEqual(textsOf(status), [
    'bad instances: This instance is not ready for new connections: draining.',
    'bad sessions: 95 of at most 100 connections are open.',
    'warn instances: 1 of 2 workers do not serve.',
    'warn configuration: The reload 1 min ago failed: the files have an error and are not in force.',
    'warn configuration: r.yaml may be half written and is held back.',
    'warn instances: The instance mx2/ab does not answer.',
  ])
})

test('does not tell twice that Redis is away', () => {
  const status = statusOf({
    directory: { kind: 'redis', up: false, dataLost: false },
    instances: { instances: [], scope: 'partial', why: 'Redis is away' },
  })
  assert.deepEqual(textsOf(status), ['bad directory: The directory does not answer. Remembered routes stand in.'])
})

test('tells when logins fail through no fault of the user, but not of a few', () => {
  const failing = { accepted: 90, refused: 5, failed: 5 }
  assert.deepEqual(textsOf(statusOf({}), [sampleOf(failing)], 5000), [
    'bad traffic: 5 % of the logins of the last minute failed through no fault of the user.',
  ])
  assert.deepEqual(textsOf(statusOf({}), [sampleOf({ accepted: 1, failed: 1 })], 5000), [])
  assert.deepEqual(textsOf(statusOf({}), [sampleOf({ accepted: 100, refused: 100 })], 5000), [])
})

test('describes each state and the health of a back end by a word and a tone', () => {
  assert.deepEqual(describeState({ state: 'drain', overMs: 600_000, reassign: true }), {
    tone: 'warn',
    text: 'draining over 10 min, users reassigned',
  })
  assert.deepEqual(describeHealth(backendStatus('a', {})), { tone: 'good', text: 'reachable' })
  assert.deepEqual(describeHealth(backendStatus('a', { addresses: [{}, { state: 'misconfigured' }] })), {
    tone: 'warn',
    text: '1 of 2 down',
  })
  assert.deepEqual(describeHealth(backendStatus('a', { up: false, addresses: [] })), {
    tone: 'bad',
    text: 'no address',
  })
})
