import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  BadAnswer,
  causeOf,
  isForbidden,
  isOwnShortage,
  RedisFailure,
  toFailure,
} from '../../../../src/directory/redis/errors.ts'

const named = (name: string, message: string): Error => Object.assign(new Error(message), { name })
const coded = (code: string, more: object = {}): Error => Object.assign(new Error('some text'), { code, ...more })

/** What ioredis, Node and Redis say, and what an operator reads. */
const CAUSES: readonly [Error, string][] = [
  [named('ReplyError', 'WRONGPASS invalid'), 'WRONGPASS invalid'],
  [named('ReplyError', `NOPERM ${'x'.repeat(1000)}`), `NOPERM ${'x'.repeat(393)}`],
  [new RedisFailure('closed during the login'), 'closed during the login'],
  [coded('ECONNREFUSED', { syscall: 'connect' }), 'ECONNREFUSED'],
  [coded('EAI_AGAIN', { syscall: 'getaddrinfo', hostname: 'redis.test' }), 'resolver: EAI_AGAIN redis.test'],
  [
    coded('EINVAL', { syscall: 'getaddrinfo', hostname: 'x'.repeat(100_000) }),
    `resolver: EINVAL ${'x'.repeat(400 - 'resolver: EINVAL '.length)}`,
  ],
  [new Error("Stream isn't writeable and enableOfflineQueue options is false"), 'no connection'],
  [new Error("Cluster isn't ready and enableOfflineQueue options is false"), 'no connection'],
  [new Error('Connection is closed.'), 'no connection'],
  [named('MaxRetriesPerRequestError', 'Reached the max retries per request limit (which is 0).'), 'no connection'],
  [new Error('Command timed out'), 'no answer in time'],
  [new Error("Socket timeout. Expecting data, but didn't receive any in 1500ms."), 'no answer in time'],
  [new Error('All sentinels are unreachable. Retrying from scratch after 107ms.'), 'no Sentinel answers'],
  [
    new Error('All sentinels are unreachable. Retrying from scratch after 293ms. Last error: connect ECONNREFUSED'),
    'no Sentinel answers: connect ECONNREFUSED',
  ],
  [
    new Error('All sentinels are unreachable. Retrying from scratch after 9ms. Last error: Connection is closed.'),
    'no Sentinel answers',
  ],
  [
    new Error(`All sentinels are unreachable. Retrying from scratch after 9ms. Last error: ${'x'.repeat(100_000)}`),
    `no Sentinel answers: ${'x'.repeat(400 - 'no Sentinel answers: '.length)}`,
  ],
  [
    Object.assign(new Error('Failed to refresh slots cache.'), { lastNodeError: named('ReplyError', 'NOAUTH no') }),
    'NOAUTH no',
  ],
  [Object.assign(new Error('Failed to refresh slots cache.'), { lastNodeError: undefined }), 'no connection'],
  [new Error('None of startup nodes is available'), 'no connection'],
  [named('ReplyError', 'text without a CODE'), 'no connection'],
  [named('SimpleError', 'LOADING wait'), 'LOADING wait'],
  [named('BlobError', 'SYNTAX no'), 'SYNTAX no'],
  [named('TypeError', 'NOPERM is no answer'), 'no connection'],
  [new Error('a wait that timed out'), 'no answer in time'],
  [new Error('no Socket timeout'), 'no connection'],
  [Object.assign(new Error('x'), { code: 7 }), 'no connection'],
  [coded('ENOENT', { syscall: 'getaddrinfo' }), 'ENOENT'],
  [coded('ENOENT', { syscall: 'open', hostname: 'redis.test' }), 'ENOENT'],
]

for (const [error, cause] of CAUSES)
  test(`says ${cause.slice(0, 60)} for "${error.message.slice(0, 60)}"`, () => {
    assert.equal(causeOf(error), cause)
  })

test('finds the shortages of this machine in the errors of ioredis', () => {
  const shortage = coded('EMFILE', { syscall: 'connect' })
  const unreachable = (last: string): Error =>
    new Error(`All sentinels are unreachable. Retrying from scratch after 9ms. Last error: ${last}`)
  const wrapped = (lastNodeError: unknown): Error => Object.assign(new Error('Failed'), { lastNodeError })
  for (const error of [shortage, wrapped(shortage), unreachable('connect EMFILE'), unreachable('ENFILE')])
    assert.equal(isOwnShortage(error), true, error.message)
  const refused = coded('ECONNREFUSED')
  for (const error of [refused, wrapped(refused), wrapped(undefined), unreachable('connect ECONNREFUSED'), undefined])
    assert.equal(isOwnShortage(error), false, String(error))
  assert.equal(isOwnShortage(new Error('connect EMFILE')), false)
})

test('names the cause of a missing connection', () => {
  const closed = new Error('Connection is closed.')
  assert.equal(toFailure(closed, 'WRONGPASS invalid').message, 'WRONGPASS invalid')
  assert.equal(toFailure(closed, undefined).message, 'no connection')
  assert.equal(toFailure(new Error('Command timed out'), 'WRONGPASS invalid').message, 'no answer in time')
})

test('detects a missing right by the code of the answer', () => {
  assert.ok(isForbidden(toFailure(named('ReplyError', 'NOPERM no'), undefined)))
  assert.ok(!isForbidden(new Error('Command timed out')))
  const notConnected = toFailure(new Error('Connection is closed.'), "NOPERM this user may not run 'select'")
  assert.ok(!isForbidden(notConnected), 'a login that is refused says nothing of the command')
})

/** Errors of ioredis and replies of Redis, and whether the same command may succeed later. */
const RETRYABLE: readonly [Error, boolean][] = [
  [new Error('Connection is closed.'), true],
  [coded('ECONNREFUSED', { syscall: 'connect' }), true],
  [new Error('Command timed out'), true],
  [named('ReplyError', 'LOADING Redis is loading the dataset in memory'), true],
  [named('ReplyError', "READONLY You can't write against a read only replica."), true],
  [named('ReplyError', 'CLUSTERDOWN The cluster is down'), true],
  [named('ReplyError', 'ERR max number of clients reached'), true],
  [named('ReplyError', 'NOPERM No permissions to access a key'), false],
  [named('ReplyError', 'NOAUTH Authentication required.'), false],
  [named('ReplyError', 'WRONGPASS invalid username-password pair'), false],
  [named('ReplyError', 'WRONGTYPE Operation against a key holding the wrong kind of value'), false],
  [named('ReplyError', 'ERR unknown command'), false],
  [new BadAnswer('HMGET was answered in another form'), false],
]
for (const [error, isRetryable] of RETRYABLE)
  test(`${isRetryable ? 'may pass by itself' : 'needs an operator'}: ${error.message}`, () =>
    assert.equal(toFailure(error, undefined).retryable, isRetryable))
