/** What the answers of name servers mean, without a name server: both families, lifetimes, bounds and failures. */
import assert from 'node:assert/strict'
import { Resolver } from 'node:dns/promises'
import { test, type TestContext } from 'node:test'
import { createLookup } from '../../../src/backend/endpoint/lookup.ts'

type Records = { address: string; ttl: number }[] | Error
type Srv = { name: string; port: number; priority: number; weight: number }

const failure = (code: string): Error => Object.assign(new Error(code), { code })
const settle = <T>(answer: T | Error): Promise<T> =>
  answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer)

type Play = { six?: Records; four?: Records; srv?: Srv[] | Error; system?: string[] | Error }

/** @param servers none: as the system does it. Loopback addresses, which may be dialled on a machine with either family */
function open(t: TestContext, servers: readonly string[], { six = [], four = [], srv = [], system = [] }: Play) {
  const asked: unknown[] = []
  const play = (kind: string, answer: unknown) =>
    t.mock.method(
      Resolver.prototype,
      kind as 'resolve4',
      ((...question: unknown[]) => {
        asked.push([kind, ...question])
        return settle(answer)
      }) as unknown as Resolver['resolve4'],
    )
  play('resolve6', six)
  play('resolve4', four)
  play('resolveSrv', srv)
  const lookup = createLookup(servers, (name) => {
    asked.push(['system', name])
    return settle(system)
  })
  return { lookup, asked }
}

const DNS = ['192.0.2.53']
const SIX = { address: '::1', ttl: 60 }
const FOUR = { address: '127.0.0.2', ttl: 20 }

test('asks the configured name servers for both families, and uses the answer for the shortest lifetime', async (t) => {
  const { lookup, asked } = open(t, DNS, { six: [SIX], four: [FOUR] })
  assert.deepEqual(await lookup.addresses('store.test'), { records: ['::1', '127.0.0.2'], ttlMs: 20_000 })
  assert.deepEqual(asked, [
    ['resolve6', 'store.test', { ttl: true }],
    ['resolve4', 'store.test', { ttl: true }],
  ])
})

test('is content with one family', async (t) => {
  for (const [six, four, ip] of [
    [[SIX], failure('ENODATA'), '::1'],
    [failure('ENODATA'), [FOUR], '127.0.0.2'],
    [[], [FOUR], '127.0.0.2'],
  ] as const)
    assert.deepEqual(
      (await open(t, DNS, { six: six as Records, four: four as Records }).lookup.addresses('a.test')).records,
      [ip],
    )
})

test('fails with the code of the answer where no family has an address', async (t) => {
  for (const six of [failure('ESERVFAIL'), []])
    await assert.rejects(open(t, DNS, { six, four: failure('ENOTFOUND') }).lookup.addresses('a.test'), {
      code: 'ENOTFOUND',
    })
  assert.deepEqual(await open(t, DNS, {}).lookup.addresses('a.test'), { records: [], ttlMs: 30_000 })
})

test('limits the lifetime of an answer to between five seconds and five minutes', async (t) => {
  for (const [ttl, ttlMs] of [
    [0, 5000],
    [5, 5000],
    [6, 6000],
    [300, 300_000],
    [86_400, 300_000],
  ] as const)
    assert.equal((await open(t, DNS, { four: [{ ...FOUR, ttl }] }).lookup.addresses('a.test')).ttlMs, ttlMs)
})

test('looks at 16 records, each once', async (t) => {
  const four = Array.from({ length: 40 }, (_, at) => ({ address: `127.0.0.${(at % 20) + 1}`, ttl: 60 }))
  const { records } = await open(t, DNS, { four }).lookup.addresses('a.test')
  assert.deepEqual(
    records,
    four.slice(0, 16).map(({ address }) => address),
  )
})

test('asks the system for the addresses, and the name servers for their lifetime alone', async (t) => {
  const { lookup, asked } = open(t, [], { system: ['127.0.0.3'], four: [FOUR] })
  assert.deepEqual(await lookup.addresses('store.test'), { records: ['127.0.0.3'], ttlMs: 20_000 })
  assert.deepEqual(asked[0], ['system', 'store.test'])
  const dead = open(t, [], { system: ['127.0.0.3'], six: failure('ETIMEOUT'), four: failure('ETIMEOUT') })
  assert.deepEqual(await dead.lookup.addresses('store.test'), { records: ['127.0.0.3'], ttlMs: 30_000 })
  await assert.rejects(open(t, [], { system: failure('EAI_AGAIN'), four: [FOUR] }).lookup.addresses('a.test'), {
    code: 'EAI_AGAIN',
  })
})

// RFC 2782
test('gives the services that lead anywhere', async (t) => {
  const srv = (name: string, port = 993): Srv => ({ name, port, priority: 10, weight: 5 })
  const service = { target: 'mail.test', port: 993, priority: 10, weight: 5 }
  const all = [srv('mail.test'), srv('.'), srv('mail.test', 0)]
  const { lookup, asked } = open(t, DNS, { srv: all })
  assert.deepEqual(await lookup.services('_imaps._tcp.test'), { records: [service], ttlMs: 30_000 })
  assert.deepEqual(asked, [['resolveSrv', '_imaps._tcp.test']])
  const many = open(t, DNS, { srv: Array.from({ length: 40 }, () => srv('mail.test')) })
  assert.equal((await many.lookup.services('x')).records.length, 16)
  await assert.rejects(open(t, DNS, { srv: failure('ENODATA') }).lookup.services('x'), { code: 'ENODATA' })
})
