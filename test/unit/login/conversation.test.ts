/** The deadline of a client's answers to challenges, and the time that they take. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { MuxError } from '../../../src/errors.ts'
import { Conversation } from '../../../src/login/conversation.ts'
import { Secret } from '../../../src/secret.ts'
import { asOctets } from '../../../src/octets.ts'
import { VirtualClock } from './virtual-clock.ts'

/** @param answer takes its time, and gives the client's line */
function open(answer: (clock: VirtualClock) => Promise<string>) {
  const clock = new VirtualClock()
  const failures: string[] = []
  const fail = ({ code }: MuxError): void => void failures.push(code)
  const firstMessage = () => new Secret(asOctets('n,,n=alice,r=nonce'))
  const converse = (): Promise<string> => answer(clock)
  const relayed = { kind: 'relayed', mechanism: 'SCRAM-SHA-1', firstMessage, converse } as const
  const conversation = new Conversation(relayed, { fail }, clock)
  return { clock, failures, conversation, ask: () => conversation.credentials.converse('cj1u') }
}

/** @returns the delays of the timers that are set from now on */
function noteTimers(clock: VirtualClock): number[] {
  const timers: number[] = []
  const after = clock.after.bind(clock)
  clock.after = (ms, run) => (timers.push(ms), after(ms, run))
  return timers
}

test('begins with the first challenge', async () => {
  const { conversation, ask } = open(() => Promise.resolve('Yz1u'))
  assert.deepEqual([conversation.hasBegun, conversation.clientMs], [false, 0])
  assert.equal(await ask(), 'Yz1u')
  assert.equal(conversation.hasBegun, true)
})

test('counts the client’s time, and leaves no timer behind an answer', async () => {
  const { conversation, clock, failures, ask } = open((clock) => {
    clock.ms += 3000
    return Promise.resolve('Yz1u')
  })
  await ask()
  await ask()
  assert.deepEqual([conversation.clientMs, clock.pending, failures], [6000, 0, []])
})

test('leaves no timer behind a client that has left, and counts its time', async () => {
  const { conversation, clock, ask } = open((clock) => {
    clock.ms += 3000
    return Promise.reject(new Error('gone'))
  })
  await assert.rejects(ask(), /gone/)
  assert.deepEqual([conversation.clientMs, clock.pending], [3000, 0])
})

test('stops the client timer before the slot is waited for, and reports both moments', async () => {
  const { conversation, clock, ask } = open(() => Promise.resolve('Yz1u'))
  const told: string[] = []
  conversation.observer = {
    challenged: () => void told.push(`challenged, ${clock.pending} timers`),
    answered: () => {
      told.push(`answered, ${clock.pending} timers`)
      clock.ms += 500
      return Promise.resolve()
    },
  }
  await ask()
  assert.deepEqual(told, ['challenged, 0 timers', 'answered, 0 timers'])
  assert.equal(conversation.clientMs, 500, 'the wait for the slot counts as the client’s')
})

test('gives a client ten seconds for all answers of a login', async () => {
  const { clock, failures, ask } = open((clock) => {
    clock.ms += 4000
    return clock.ms < 8001 ? Promise.resolve('Yz1u') : new Promise(() => undefined)
  })
  await ask()
  await ask()
  const silent = new Promise<void>(() => undefined)
  const timers = noteTimers(clock)
  void ask()
  await assert.rejects(clock.until(silent), /no timer is left/)
  assert.deepEqual([timers, failures], [[2000], ['client-login-timeout']])
})

test('fails a client at once that has used its time up', async () => {
  let asked = 0
  const { clock, failures, ask } = open((clock) => {
    clock.ms += asked === 0 ? 12_000 : 0
    return asked++ === 0 ? Promise.resolve('Yz1u') : new Promise(() => undefined)
  })
  await ask()
  const timers = noteTimers(clock)
  void ask()
  await assert.rejects(clock.until(new Promise<void>(() => undefined)), /no timer is left/)
  assert.deepEqual([timers, failures], [[0], ['client-login-timeout']])
})
