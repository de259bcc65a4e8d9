/** The state of a back end in effect, of the routing file and the directory, and the reports of its changes. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBackendStates } from '../../../src/backend/states.ts'
import type { EffectiveState } from '../../../src/backend/state.ts'
import type { BackendState } from '../../../src/config/settings.ts'
import { keepLog } from './fixture.ts'

function open(states: Record<string, BackendState>) {
  const { log, lines } = keepLog()
  const all = createBackendStates(log)
  const changes: string[] = []
  const configure = (now: Record<string, BackendState>): void =>
    all.configure(new Map(Object.entries(now).map(([name, state]) => [name, { state }])))
  configure(states)
  const write = ({ state, overMs }: EffectiveState): string => `${state}${overMs === undefined ? '' : ` ${overMs}`}`
  all.onChange((name, now, before) => changes.push(`${name}: ${before ? write(before) : ''} > ${write(now)}`))
  return { all, changes, configure, lines }
}

test('the routing file gives the state, and the directory takes precedence', () => {
  const { all, changes } = open({ s1: 'down', s2: 'up' })
  assert.deepEqual(all.of('s1'), { state: 'down', overMs: undefined, from: 'routing' })
  all.setFromDirectory('s1', { state: 'up', overMs: undefined })
  all.setFromDirectory('s2', { state: 'drain', overMs: 20_000 })
  assert.deepEqual(all.of('s1'), { state: 'up', overMs: undefined, from: 'directory' })
  all.setFromDirectory('s1', undefined)
  assert.equal(all.of('s1')?.state, 'down')
  assert.deepEqual(changes, ['s1:  > down', 's2:  > up', 's1: down > up', 's2: up > drain 20000', 's1: up > down'])
})

test('a reload changes the state of the routing file, and not a state of the directory', () => {
  const { all, changes, configure } = open({ s1: 'up', s2: 'up' })
  all.setFromDirectory('s2', { state: 'pause', overMs: undefined })
  configure({ s1: 'down', s2: 'down' })
  assert.deepEqual([all.of('s1')?.state, all.of('s2')?.state], ['down', 'pause'])
  assert.deepEqual(changes.slice(3), ['s1: up > down'])
})

test('reports each change once, and a new duration of a drain as a change', () => {
  const { all, changes, configure } = open({ s1: 'up' })
  configure({ s1: 'up' })
  for (const overMs of [20_000, 20_000, 60_000]) all.setFromDirectory('s1', { state: 'drain', overMs })
  assert.deepEqual(changes, ['s1:  > up', 's1: up > drain 20000', 's1: drain 20000 > drain 60000'])
})

test('reports the order to reassign users as a change', () => {
  const { all, changes, lines } = open({ s1: 'up' })
  const drain = { state: 'drain', overMs: undefined } as const
  for (const state of [drain, { ...drain, reassign: true as const }, { ...drain, reassign: true as const }, drain])
    all.setFromDirectory('s1', state)
  assert.equal(changes.length, 4)
  assert.deepEqual(
    lines.map(({ reassign }) => reassign),
    [undefined, true, undefined],
  )
})

test('a removed back end has no state; added again, it has the state of the directory', () => {
  const { all, configure } = open({ s1: 'up' })
  all.setFromDirectory('s1', { state: 'down', overMs: undefined })
  all.setFromDirectory('unknown', { state: 'down', overMs: undefined })
  configure({})
  assert.deepEqual([all.of('s1'), all.of('unknown')], [undefined, undefined])
  configure({ s1: 'up' })
  assert.equal(all.of('s1')?.state, 'down')
})

test('logs each change of a state, and no line for a back end that starts up', () => {
  const { all, lines } = open({ s1: 'up', s2: 'pause' })
  all.setFromDirectory('s1', { state: 'down', overMs: undefined })
  const told = lines.map(({ backend, state, before, from }) => ({ backend, state, before, from }))
  assert.deepEqual(told, [
    { backend: 's2', state: 'pause', before: undefined, from: 'routing' },
    { backend: 's1', state: 'down', before: 'up', from: 'directory' },
  ])
})
