/** What is measured when nothing, or a part, is asked for. */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { describeOptions, readOptions } from '../../bench/options.ts'
import { listSettings } from '../../bench/settings.ts'

const settings = listSettings(9_700)
const names = (named: { name: string }[] = []): string[] => named.map(({ name }) => name)

test('without options all settings but that of the features are run, and targets count', () => {
  const options = readOptions([], settings)
  assert.deepEqual([...names(options?.settings), 'features'], names(settings))
  assert.deepEqual(names(options?.settings[0]?.workloads), names(settings[0]?.workloads))
  assert.equal(options?.isJudged, true)
})

test('the quick run has three peers in front of the sink, and no target fails it', () => {
  const options = readOptions(['--quick'], settings)
  assert.deepEqual(names(options?.peers), ['bare', 'nginx', 'mailmux'])
  assert.deepEqual(names(options?.settings), ['sink'])
  assert.equal(options?.isJudged, false)
})

test('the run of the features has peers of its own, and no target fails it', () => {
  const options = readOptions(['--features'], settings)
  assert.deepEqual(names(options?.settings), ['features'])
  assert.equal(names(options?.settings[0]?.peers)[0], 'as-by-default')
  assert.equal(options?.isJudged, false)
})

test('a part is run in front of the sink, unless the setting is named', () => {
  assert.deepEqual(names(readOptions(['--workloads', 'login'], settings)?.settings), ['sink'])
  const crowd = readOptions(['--settings', 'crowd', '--workloads', 'login-among-many'], settings)?.settings
  assert.deepEqual(names(crowd), ['crowd'])
  assert.deepEqual(names(crowd?.[0]?.workloads), ['login-among-many'])
})

test("the order of the peers is the user's: the first is what the others are compared to", () => {
  assert.deepEqual(names(readOptions(['--peers', 'mailmux,haproxy'], settings)?.peers), ['mailmux', 'haproxy'])
})

test('an unknown name is refused, with a list of the valid ones', () => {
  assert.throws(() => readOptions(['--peers', 'ngnix'], settings), /there is no ngnix; there are nginx,/)
  assert.throws(() => readOptions(['--workloads', 'logn'], settings), /there is no logn; there are login,/)
  assert.throws(() => readOptions(['--rounds', '0'], settings), /0 is not a number above zero/)
})

test('another checkout is compared with this one, where the peers can be chosen', () => {
  const checkout = join(import.meta.dirname, '../../..')
  const options = readOptions(['--quick', '--before', checkout, '--workloads', 'login'], settings)
  assert.deepEqual(names(options?.peers), ['before', 'mailmux'])
  assert.deepEqual(names(options?.settings), ['sink'])
  assert.throws(() => readOptions(['--before', '', '--workloads', 'login'], settings), /"" is no checkout of mailmux/)
  assert.throws(() => readOptions(['--before', checkout, '--settings', 'workers'], settings), /no effect on .* workers/)
})

test('help names every peer, workload and setting', () => {
  assert.equal(readOptions(['--help'], settings), undefined)
  for (const word of ['perdition', 'mailmux-bun', 'append-tls', 'login-among-few', 'routes']) {
    assert.match(describeOptions(settings), new RegExp(word))
  }
})
