/** Which answers to CLUSTER SLOTS are given to ioredis, which checks none; and which redirections have a target. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { checkClusterAnswer, isBadRedirection } from '../../../../src/directory/redis/slots.ts'

const NODE = ['192.0.2.1', 7000, 'id', []]

const ACCEPTED: Record<string, unknown> = {
  'the text of CLUSTER INFO': 'cluster_state:ok',
  'no range': [],
  'a range of all slots': [[0, 16_383, NODE]],
  'two ranges with replicas': [
    [0, 8000, NODE, NODE],
    [8001, 16_383, NODE],
  ],
  'a range of one slot': [[5, 5, NODE]],
  'a range without a node': [[0, 1]],
  'a node that does not know its address': [[0, 1, ['', 7000]]],
  'a node whose address is nil': [[0, 1, [null, 7000]]],
  'the highest port': [[0, 1, ['192.0.2.1', 65_535]]],
}

const REFUSED: Record<string, unknown> = {
  nil: null,
  'a number': 1,
  'a range that is none': [1],
  'a range that is text': ['0-1'],
  'one of several that is none': [[0, 1, NODE], null],
  'a first slot below 0': [[-1, 1, NODE]],
  'a last slot above 16383': [[0, 16_384, NODE]],
  'a first slot that is text': [['0', 1, NODE]],
  'a last slot that is a fraction': [[0, 1.5, NODE]],
  'an order the wrong way round': [[2, 1, NODE]],
  'a node that is text': [[0, 1, '192.0.2.1']],
  'a second node that is none': [[0, 1, NODE, null]],
  'an address that is a number': [[0, 1, [1, 7000]]],
  'a port of 0': [[0, 1, ['192.0.2.1', 0]]],
  'a port above 65535': [[0, 1, ['192.0.2.1', 65_536]]],
  'a port that is text': [[0, 1, ['192.0.2.1', '7000']]],
  'no port': [[0, 1, ['192.0.2.1']]],
}

test('hands on an answer of the form of the specification, as it is', () => {
  for (const [what, answer] of Object.entries(ACCEPTED)) assert.equal(checkClusterAnswer(answer), answer, what)
})

test('refuses an answer of another form', () => {
  const refusal = { message: 'CLUSTER SLOTS was answered in another form' }
  for (const [what, answer] of Object.entries(REFUSED)) assert.throws(() => checkClusterAnswer(answer), refusal, what)
})

test('takes a redirection without a slot, an address and a port for a bad one', () => {
  const good = ['MOVED 0 192.0.2.1:7000', 'ASK 16383 [2001:db8::1]:7000', 'MOVED 1 :7000', 'MOVED 1 redis.test:1']
  const bad = ['MOVED', 'ASK', 'MOVED 1', 'MOVED x 192.0.2.1:7000', 'ASK 1 192.0.2.1', 'ASK 1 192.0.2.1:x']
  const more = ['MOVED 123456 192.0.2.1:7000', 'MOVED 1 192.0.2.1:123456', 'MOVED 1 192.0.2.1:7000 more']
  const others = ['ERR MOVED', 'MOVEDX', 'WRONGTYPE', '']
  for (const text of [...good, ...others]) assert.equal(isBadRedirection(text), false, text)
  for (const text of [...bad, ...more]) assert.equal(isBadRedirection(text), true, text)
})
