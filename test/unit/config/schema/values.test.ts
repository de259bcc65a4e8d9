import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { arrivesAt, isLoopback, overlaps } from '../../../../src/config/check/addresses.ts'
import {
  normalizeUser,
  parseDomain,
  parseDuration,
  parseAuthUrl,
  parseHost,
  parseListen,
  parseName,
  parsePort,
  parseEndpoint,
  parseRedisUrl,
  parseSize,
  type Parsed,
} from '../../../../src/config/schema/values.ts'

function valueOf<T>(parsed: Parsed<T>): T | undefined {
  return 'value' in parsed ? parsed.value : undefined
}

test('reads durations with their unit as milliseconds', () => {
  const good = {
    '500ms': 500,
    '30s': 30_000,
    '10m': 600_000,
    '31m': 1_860_000,
    '24h': 86_400_000,
    '0s': 0,
    '007s': 7000,
  }
  for (const [text, ms] of Object.entries(good)) assert.deepEqual(parseDuration(text), { value: ms })
})

test('refuses durations without a unit, with a fraction, with a sign or with space', () => {
  for (const text of [
    '',
    '30',
    's',
    '1.5s',
    '-1s',
    '+1s',
    '30 s',
    ' 30s',
    '30s\n',
    '1d',
    '30S',
    '1h30m',
    '٣s',
    '1e3s',
  ]) {
    assert.ok('wrong' in parseDuration(text), text)
  }
})

test('reads sizes in powers of 1024 and refuses ambiguous ones', () => {
  assert.deepEqual(parseSize('512B'), { value: 512 })
  assert.deepEqual(parseSize('64KiB'), { value: 65_536 })
  assert.deepEqual(parseSize('1MiB'), { value: 1_048_576 })
  for (const text of ['64', '64KB', '64K', '64kib', '0.5MiB', '', 'KiB']) assert.ok('wrong' in parseSize(text), text)
})

test('no unit is found on the prototype of the table', () => {
  for (const text of ['1constructor', '1toString', '1valueOf']) {
    assert.ok('wrong' in parseDuration(text), text)
    assert.ok('wrong' in parseSize(text), text)
  }
})

test('takes ports from 1 to 65535 as numbers or digits', () => {
  for (const port of [1, 143, 65535, '993']) assert.deepEqual(parsePort(port), { value: Number(port) })
  for (const port of [0, 65536, -1, 1.5, NaN, Infinity, 'abc', '', '0x50', '1e2', ' 1', '143 ']) {
    assert.ok('wrong' in parsePort(port), String(port))
  }
})

test('a bare port stands for every address of both families, neither of which must exist', () => {
  const both = ['0.0.0.0', '::'].map((host) => ({ host, port: 143, optional: true }))
  assert.deepEqual(parseListen('143'), { value: both })
  assert.deepEqual(parseListen(143), { value: both })
})

test('reads addresses of both families, in one spelling', () => {
  assert.deepEqual(parseListen('0.0.0.0:143'), { value: [{ host: '0.0.0.0', port: 143, optional: false }] })
  assert.deepEqual(parseListen('[::]:143'), { value: [{ host: '::', port: 143, optional: false }] })
  assert.deepEqual(parseListen('[0:0:0:0:0:0:0:1]:1'), { value: [{ host: '::1', port: 1, optional: false }] })
  assert.equal(valueOf(parseListen('[fe80::1%eth0]:1'))?.[0]?.host, 'fe80::1%eth0')
})

test('says what is wrong with an address', () => {
  const bad = {
    '0': /1 to 65535/u,
    '65536': /1 to 65535/u,
    abc: /write 0\.0\.0\.0:143/u,
    '': /1 to 65535/u,
    ':143': /"" is not an IPv4 address/u,
    '*:143': /"\*" is not an IPv4 address/u,
    'localhost:143': /"localhost" is not an IPv4 address/u,
    '256.0.0.1:143': /"256\.0\.0\.1" is not an IPv4 address/u,
    ':::143': /write 0\.0\.0\.0:143/u,
    '[::143': /write 0\.0\.0\.0:143/u,
    '[1.2.3.4]:143': /not an IPv6 address/u,
    '1.2.3.4': /write 0\.0\.0\.0:143/u,
    '1.2.3.4:': /1 to 65535/u,
    '1.2.3.4:0': /1 to 65535/u,
    '1.2.3.4:abc': /1 to 65535/u,
  }
  for (const [text, message] of Object.entries(bad)) {
    const parsed = parseListen(text)
    assert.match('wrong' in parsed ? parsed.wrong : 'taken', message, text)
  }
})

test('every address that it takes is an address with a port', () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.ipV4(), fc.ipV6()), fc.integer({ min: -1, max: 70_000 }), (host, port) => {
      for (const text of [host, `${host}:${port}`, `[${host}]:${port}`]) {
        for (const one of valueOf(parseListen(text)) ?? []) assert.ok(one.port >= 1 && one.port <= 65535)
      }
    }),
  )
})

test('distinguishes hosts from mistyped addresses and from hosts with ports', () => {
  for (const text of ['store1', 'store-1.example.test', 'store1.example.test.', '10.0.0.1', '::1', '_x.example']) {
    assert.ok('value' in parseHost(text), text)
  }
  for (const text of ['', '10.0.0', '10.0.0.256', '[::1]', 'a b', 'a..b', '-a', 'store1:143', 'a/b', 'x'.repeat(254)]) {
    assert.ok('wrong' in parseHost(text), text)
  }
})

test('lower-cases the domain of a user and leaves the local part alone', () => {
  assert.deepEqual(parseDomain('Example.Test'), { value: 'example.test' })
  assert.deepEqual(valueOf(normalizeUser('Alice@Example.Test', 'keep')), {
    user: 'Alice@example.test',
    domain: 'example.test',
  })
  assert.deepEqual(valueOf(normalizeUser('Alice', 'keep')), { user: 'Alice', domain: undefined })
  for (const text of ['', '@', 'a@', '@b', '"a@b"@c.test', 'a b@c.test', 'a/b', 'a@b c', 'a\r\n@b', 'a@b..c', 'a@.b']) {
    assert.ok('wrong' in normalizeUser(text, 'keep'), text)
  }
})

test('names become labels and keys, so they hold nothing that either would need to escape', () => {
  for (const text of ['a', 'store1', '1', 'Store_1.b-c']) assert.ok('value' in parseName(text), text)
  for (const text of ['', 'a b', '.a', '-a', 'a:b', '__proto__', 'é', 'a'.repeat(65)]) {
    assert.ok('wrong' in parseName(text), text)
  }
})

test('takes the URL of a Redis and nothing that would be ignored in it', () => {
  for (const text of ['redis://h', 'redis://h:6379/2', 'rediss://u:p@h:1', 'redis://:p@[::1]:6379/']) {
    assert.ok('value' in parseRedisUrl(text), text)
  }
  for (const text of [
    '',
    'h:6379',
    'http://h',
    'redis://',
    'redis:///1',
    'redis://h/x',
    'redis://h?db=1',
    'redis://h/1#x',
    'redis://h:0',
    'redis://h:99999',
    'redis://-h',
    'redis://:%@h',
    'redis://:%ff@h',
  ]) {
    assert.ok('wrong' in parseRedisUrl(text), text)
  }
})

test('reads the URL of a Redis, its user and password decoded', () => {
  const { password, ...rest } = valueOf(parseRedisUrl('rediss://al%40x:p%2F%25@[0:0::1]/3')) ?? {}
  assert.deepEqual(rest, { host: '::1', port: 6379, database: 3, tls: true, username: 'al@x' })
  assert.equal(password?.reveal(), 'p/%')
  assert.deepEqual(valueOf(parseRedisUrl('redis://h:1')), {
    host: 'h',
    port: 1,
    database: 0,
    tls: false,
    username: undefined,
    password: undefined,
  })
})

test('reads a host with its port, and takes neither alone', () => {
  assert.deepEqual(valueOf(parseEndpoint('redis.example.org:6379')), { host: 'redis.example.org', port: 6379 })
  assert.deepEqual(valueOf(parseEndpoint('10.0.0.1:1')), { host: '10.0.0.1', port: 1 })
  assert.deepEqual(valueOf(parseEndpoint('[0:0::1]:6379')), { host: '::1', port: 6379 })
  for (const text of [
    '',
    'h',
    ':1',
    '6379',
    'h:',
    'h:0',
    'h:65536',
    '::1:1',
    '[h]:1',
    '10.0.0:1',
    'h:1:2',
    'h /:1',
    'redis://h:1',
  ]) {
    assert.ok('wrong' in parseEndpoint(text), text)
  }
})

test('no message about a Redis URL repeats its password', () => {
  for (const text of ['http://u:hunter2@h', 'redis://u:hunter2@h/x', 'redis://u:hunter2@h?x']) {
    assert.ok(!JSON.stringify(parseRedisUrl(text)).includes('hunter2'))
  }
})

test('addresses overlap where they are the same or one covers the family of the other', () => {
  const overlapping = [
    ['0.0.0.0', '0.0.0.0'],
    ['0.0.0.0', '10.0.0.1'],
    ['10.0.0.1', '0.0.0.0'],
    ['::', '::1'],
  ] as const
  const apart = [
    ['0.0.0.0', '::'],
    ['0.0.0.0', '::1'],
    ['10.0.0.1', '10.0.0.2'],
    ['127.0.0.1', '127.0.0.2'],
  ] as const
  for (const [a, b] of overlapping) assert.ok(overlaps(a, b), `${a} ${b}`)
  for (const [a, b] of apart) assert.ok(!overlaps(a, b), `${a} ${b}`)
})

test('detects destinations that arrive at an own address', () => {
  const own = [
    ['127.0.0.1', '0.0.0.0'],
    ['localhost', '::'],
    ['LOCALHOST.', '127.0.0.1'],
    ['0.0.0.0', '127.0.0.1'],
    ['::', '::1'],
    ['::ffff:127.0.0.1', '0.0.0.0'],
    ['10.0.0.5', '10.0.0.5'],
  ] as const
  const others = [
    ['127.0.0.2', '127.0.0.1'],
    ['127.0.0.1', '::'],
    ['10.0.0.5', '0.0.0.0'],
    ['store1.example.test', '0.0.0.0'],
    ['127.0.0.1', '10.0.0.5'],
  ] as const
  for (const [host, bound] of own) assert.ok(arrivesAt(host, bound), `${host} ${bound}`)
  for (const [host, bound] of others) assert.ok(!arrivesAt(host, bound), `${host} ${bound}`)
})

test('loopback is what only this machine can reach', () => {
  for (const host of ['127.0.0.1', '127.9.9.9', '::1', 'localhost', '::ffff:127.0.0.1'])
    assert.ok(isLoopback(host), host)
  for (const host of ['0.0.0.0', '::', '10.0.0.1', 'example.test', '::ffff:10.0.0.1'])
    assert.ok(!isLoopback(host), host)
})

test('no place to connect to is every address of a machine', () => {
  for (const host of ['0.0.0.0', '::', '0:0::0', '::ffff:0.0.0.0', '::ffff:0:0']) {
    const wrong = /no place to connect to: .* means every address of this machine/u
    const inUrl = host.includes(':') ? `[${host}]` : host
    const told = [
      parseHost(host),
      parseEndpoint(`${inUrl}:1`),
      parseRedisUrl(`redis://${inUrl}`),
      parseAuthUrl(`http://${inUrl}/`),
    ]
    for (const one of told) assert.match('wrong' in one ? one.wrong : 'taken', wrong, host)
  }
})
