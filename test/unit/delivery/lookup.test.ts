/** One lookup of a socketmap: which reply each recipient gets, and that the lookup is no login. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { answerRequest } from '../../../src/delivery/lookup.ts'
import { replyToRoute } from '../../../src/delivery/reply.ts'
import type { Directory, DirectoryAnswer } from '../../../src/directory/directory.ts'
import { RouteInvalid } from '../../../src/directory/errors.ts'
import { MuxError } from '../../../src/errors.ts'
import { createRouter } from '../../../src/routing/router.ts'
import { backendSettings } from '../backend/fixture.ts'
import { PLACING, routing } from '../routing/fixture.ts'

type Stored = DirectoryAnswer['entry'] | Error
const at = (backend: string, status: 'active' | 'hold' | 'disabled' = 'active') => ({
  backend,
  login: undefined,
  status,
})

/** A site with a Redis of these users, in which nothing may be reserved. */
function site(stored: Record<string, Stored> = {}, source: DirectoryAnswer['source'] = 'directory') {
  const asked: string[] = []
  const refused: string[] = []
  const settings = routing()
  const backends = new Map([
    ['store1', backendSettings({ name: 'store1', hosts: ['10.0.0.11'], lmtp: 24 })],
    ['store2', backendSettings({ name: 'store2', hosts: ['2001:db8::2'], lmtp: 2424 })],
    ['store3', backendSettings({ name: 'store3', hosts: ['store3.example.test'] })],
    ['pair', backendSettings({ name: 'pair', hosts: ['a.example.test', '192.0.2.2'], lmtp: 24 })],
  ])
  const directory: Directory = {
    lookup(user) {
      asked.push(user)
      const found = stored[user]
      return found instanceof Error ? Promise.reject(found) : Promise.resolve({ entry: found, source })
    },
    reserve: () => assert.fail('a lookup reserves nothing'),
    lastKnown: (user) => (user === 'gone@placed.test' ? at('store1') : undefined),
    invalidate: () => assert.fail('a lookup invalidates nothing'),
    connected: Promise.resolve(),
    close: () => Promise.resolve(),
  }
  const placement = { domains: new Map([['placed.test', [...backends.values()]]]), others: undefined }
  const router = createRouter(
    { ...settings, backends, placement, userCase: 'keep' },
    directory,
    (user) => refused.push(user),
    PLACING,
  )
  const lookup = async (request: string | Buffer, recipientDelimiter = '+') => {
    const errors: string[] = []
    const reply = await answerRequest(Buffer.from(request as string), { router, recipientDelimiter }, (error) =>
      errors.push(error.code),
    )
    return reply && [reply.outcome, reply.text, ...errors]
  }
  return { lookup, asked, refused }
}

describe('a lookup', () => {
  const found = (text: string) => ['found', text]
  const notFound = ['not-found', 'NOTFOUND ']

  for (const { it, key, stored = {}, gets } of [
    {
      it: 'a route',
      key: 'ann@x.test',
      stored: { 'ann@x.test': at('store1') },
      gets: found('OK lmtp:inet:10.0.0.11:24'),
    },
    {
      it: 'an IPv6 back end',
      key: 'ann@x.test',
      stored: { 'ann@x.test': at('store2') },
      gets: found('OK lmtp:inet:[2001:db8::2]:2424'),
    },
    {
      it: 'a back end with two hosts',
      key: 'ann@x.test',
      stored: { 'ann@x.test': at('pair') },
      gets: found('OK lmtp:inet:a.example.test:24, inet:192.0.2.2:24'),
    },
    {
      it: 'a static user whose back end has no port',
      key: 'fixed@example.test',
      gets: ['no-port', 'TEMP the back end of the user has no lmtp port'],
    },
    { it: 'a domain with a route', key: 'any@example.test', gets: found('OK lmtp:inet:10.0.0.11:24') },
    { it: 'an alias of a domain', key: 'any@ALIAS.test', gets: found('OK lmtp:inet:10.0.0.11:24') },
    {
      it: 'a user on hold',
      key: 'ann@x.test',
      stored: { 'ann@x.test': at('store1', 'hold') },
      gets: ['hold', 'TEMP user is being moved'],
    },
    {
      it: 'a user on hold in a domain with a route, with an extension',
      key: 'ann+lists@example.test',
      stored: { 'ann@example.test': at('store2', 'hold') },
      gets: ['hold', 'TEMP user is being moved'],
    },
    {
      it: 'a user on hold in another case of letters',
      key: 'Ann+Lists@example.test',
      stored: { 'ann@example.test': at('store2', 'hold') },
      gets: ['hold', 'TEMP user is being moved'],
    },
    {
      it: 'an extension that is a user of its own',
      key: 'ann+x@x.test',
      stored: { 'ann@x.test': at('store1'), 'ann+x@x.test': at('store2') },
      gets: found('OK lmtp:inet:[2001:db8::2]:2424'),
    },
    {
      it: 'a disabled user',
      key: 'ann@x.test',
      stored: { 'ann@x.test': at('store1', 'disabled') },
      gets: ['disabled', 'TEMP user is disabled'],
    },
    { it: 'an unknown user', key: 'ann@x.test', gets: notFound },
    { it: 'a new user of a placed domain', key: 'new@placed.test', gets: notFound },
    {
      it: 'a user of a placed domain whose route is gone',
      key: 'gone@placed.test',
      gets: ['unavailable', 'TEMP directory unavailable', 'directory-unavailable'],
    },
    {
      it: 'a directory that is away',
      key: 'ann@x.test',
      stored: { 'ann@x.test': new MuxError('directory-unavailable', 'no Redis') },
      gets: ['unavailable', 'TEMP directory unavailable', 'directory-unavailable'],
    },
    {
      it: 'a route to an unknown back end',
      key: 'ann@x.test',
      stored: { 'ann@x.test': at('elsewhere') },
      gets: ['route-invalid', 'TEMP the route of the user is invalid', 'route-invalid'],
    },
    {
      it: 'an invalid route',
      key: 'ann@x.test',
      stored: { 'ann@x.test': new RouteInvalid('bad-status', 'status is odd') },
      gets: ['route-invalid', 'TEMP the route of the user is invalid', 'route-invalid'],
    },
    {
      it: 'a defect',
      key: 'ann@x.test',
      stored: { 'ann@x.test': new TypeError('oops') },
      gets: ['error', 'TEMP internal error', 'internal'],
    },
  ]) {
    test(`of ${it} gets ${gets[1]}`, async () => {
      assert.deepEqual(await site(stored).lookup(`delivery ${key}`), gets)
    })
  }

  for (const source of ['stale', 'snapshot'] as const) {
    test(`of a route that is only remembered (${source}) gets TEMP: a hold may be newer`, async () => {
      const { lookup } = site({ 'ann@x.test': at('store1') }, source)
      assert.deepEqual(await lookup('delivery ann@x.test'), ['unavailable', 'TEMP directory unavailable'])
    })
  }

  for (const key of [
    'example.test',
    'ann',
    '*',
    '@example.test',
    'a b@example.test',
    '"a"@example.test',
    'ann@',
    `${'a'.repeat(400)}@x.test`,
  ]) {
    test(`of ${key.slice(0, 20)}, which is no user, gets NOTFOUND without a question to the directory`, async () => {
      const { lookup, asked } = site()
      assert.deepEqual(await lookup(`delivery ${key}`), notFound)
      assert.deepEqual(asked, [])
    })
  }

  test('of an internationalised domain finds the same user in both of its forms', async () => {
    const { lookup } = site({ 'ann@bücher.test': at('store1') })
    for (const domain of ['bücher.test', 'xn--bcher-kva.test', 'BÜCHER.test'])
      assert.deepEqual(await lookup(`delivery ann@${domain}`), found('OK lmtp:inet:10.0.0.11:24'))
  })

  test('of a name that is not UTF-8 gets NOTFOUND', async () => {
    assert.deepEqual(await site().lookup(Buffer.from('delivery \xfc@x.test', 'latin1')), notFound)
  })

  test('with no delimiter does not look for a user without the extension', async () => {
    const { lookup, asked } = site({ 'ann@x.test': at('store1') })
    assert.deepEqual(await lookup('delivery ann+x@x.test', ''), notFound)
    assert.deepEqual(asked, ['ann+x@x.test'])
  })

  test('cuts at the first of several delimiters, and not at the beginning', async () => {
    const { lookup, asked } = site()
    await lookup('delivery -Ann-x+y@x.test', '+-')
    assert.deepEqual(asked, ['-Ann-x+y@x.test', '-Ann@x.test', '-ann-x+y@x.test', '-ann@x.test'])
  })

  test('of another map gets PERM, and of no map is no request', async () => {
    const { lookup } = site()
    assert.deepEqual(await lookup('transport ann@x.test'), ['unknown-map', 'PERM the only map here is named delivery'])
    for (const request of ['', 'delivery', ' ann@x.test']) assert.equal(await lookup(request), undefined)
  })

  test('notes an invalid route as a login does', async () => {
    const { lookup, refused } = site({ 'ann@x.test': at('elsewhere') })
    await lookup('delivery ann@x.test')
    assert.deepEqual(refused, ['ann@x.test'])
  })
})

test('a refusal of a directory that checks passwords is deferred', () => {
  const refused = { reason: 'authentication-failed', detail: 'no', waitMs: 0, last: false } as const
  assert.equal(
    replyToRoute({ kind: 'refused', source: 'directory', ...refused }).text,
    'TEMP the directory refuses the lookup',
  )
})
