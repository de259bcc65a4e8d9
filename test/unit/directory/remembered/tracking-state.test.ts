import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createTrust, type Trust } from '../../../../src/directory/remembered/tracking-state.ts'

/** What is told on after each step. */
function told(...steps: ((trust: Trust) => void)[]): string[] {
  const all: string[] = []
  const trust = createTrust(
    () => all.push('trusted'),
    () => all.push('lost'),
  )
  for (const step of steps) step(trust)
  return all
}

const add = (name: string) => (trust: Trust) => trust.add(name)
const remove = (name: string) => (trust: Trust) => trust.remove(name)
const tracked = (name: string) => (trust: Trust) => trust.tracked(name)
const lost = (name: string) => (trust: Trust) => trust.lost(name)

test('trusts nothing before anybody tells', () => {
  assert.deepEqual(told(), [])
  assert.deepEqual(told(add('a'), lost('a'), remove('a')), [])
})

test('trusts while every server tells of its changes', () => {
  assert.deepEqual(told(add('a'), add('b'), tracked('a')), [])
  assert.deepEqual(told(add('a'), add('b'), tracked('a'), tracked('b')), ['trusted'])
  assert.deepEqual(told(add('a'), add('b'), tracked('a'), tracked('b'), lost('a'), lost('b')), ['trusted', 'lost'])
})

test('begins anew after each loss, however short', () => {
  assert.deepEqual(told(add('a'), tracked('a'), lost('a'), tracked('a')), ['trusted', 'lost', 'trusted'])
  assert.deepEqual(told(add('a'), tracked('a'), tracked('a')), ['trusted'])
})

test('waits for a server that has just come, and not for one that has left', () => {
  assert.deepEqual(told(add('a'), tracked('a'), add('b'), tracked('b')), ['trusted', 'lost', 'trusted'])
  assert.deepEqual(told(add('a'), add('b'), tracked('a'), remove('b')), ['trusted'])
  assert.deepEqual(told(add('a'), tracked('a'), add('a')), ['trusted'])
})

test('trusts nothing where no server is left', () => {
  assert.deepEqual(told(add('a'), tracked('a'), remove('a')), ['trusted', 'lost'])
})

test('does not listen to a server that has left', () => {
  assert.deepEqual(told(add('a'), add('b'), remove('b'), tracked('b')), [])
})
