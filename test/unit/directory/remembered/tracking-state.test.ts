import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTrackingState, type TrackingState } from '../../../../src/directory/remembered/tracking-state.ts'

/** What is told on after each step. */
function told(...steps: ((state: TrackingState) => void)[]): string[] {
  const all: string[] = []
  const state = createTrackingState(
    () => all.push('tracked'),
    () => all.push('lost'),
  )
  for (const step of steps) step(state)
  return all
}

const add = (name: string) => (state: TrackingState) => state.add(name)
const remove = (name: string) => (state: TrackingState) => state.remove(name)
const tracked = (name: string) => (state: TrackingState) => state.tracked(name)
const lost = (name: string) => (state: TrackingState) => state.lost(name)

test('is not tracked before a server reports', () => {
  assert.deepEqual(told(), [])
  assert.deepEqual(told(add('a'), lost('a'), remove('a')), [])
})

test('is tracked while every server reports its changes', () => {
  assert.deepEqual(told(add('a'), add('b'), tracked('a')), [])
  assert.deepEqual(told(add('a'), add('b'), tracked('a'), tracked('b')), ['tracked'])
  assert.deepEqual(told(add('a'), add('b'), tracked('a'), tracked('b'), lost('a'), lost('b')), ['tracked', 'lost'])
})

test('begins anew after each loss, however short', () => {
  assert.deepEqual(told(add('a'), tracked('a'), lost('a'), tracked('a')), ['tracked', 'lost', 'tracked'])
  assert.deepEqual(told(add('a'), tracked('a'), tracked('a')), ['tracked'])
})

test('waits for a server that has just come, and not for one that has left', () => {
  assert.deepEqual(told(add('a'), tracked('a'), add('b'), tracked('b')), ['tracked', 'lost', 'tracked'])
  assert.deepEqual(told(add('a'), add('b'), tracked('a'), remove('b')), ['tracked'])
  assert.deepEqual(told(add('a'), tracked('a'), add('a')), ['tracked'])
})

test('is not tracked without a server', () => {
  assert.deepEqual(told(add('a'), tracked('a'), remove('a')), ['tracked', 'lost'])
})

test('ignores a removed server', () => {
  assert.deepEqual(told(add('a'), add('b'), remove('b'), tracked('b')), [])
})
