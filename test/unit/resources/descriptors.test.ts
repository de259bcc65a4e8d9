import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import { test } from 'node:test'
import type { Settings } from '../../../src/config/settings.ts'
import {
  connectionsWithin,
  createCapacity,
  lookForDescriptor,
  readDescriptorLimit,
  readDescriptorShare,
} from '../../../src/resources/descriptors.ts'
import { backendSettings, keepLog } from '../backend/fixture.ts'

/** @param count of back ends, of two addresses and both protocols each */
function routingOf(count: number): Settings['routing'] {
  const backends = Array.from({ length: count }, (_, index) => {
    const name = `store-${index}`
    return [name, backendSettings({ name, hosts: ['192.0.2.1', '192.0.2.2'] })] as const
  })
  return {
    userCase: 'keep',
    backends: new Map(backends),
    users: new Map(),
    domains: new Map(),
    placement: { domains: new Map(), others: undefined },
    aliases: new Map(),
    resolvers: [],
  }
}

const DELIVERY: Settings['delivery'] = {
  listen: { host: '127.0.0.1', port: 24091, optional: false },
  clients: [],
  recipientDelimiter: '',
}

const needing = (backends: number, delivery?: Settings['delivery']) => ({ routing: routingOf(backends), delivery })

const settingsWith = (maxConnections: number | undefined) =>
  ({ limits: { maxConnections }, ...needing(0) }) as Pick<Settings, 'limits' | 'routing' | 'delivery'>

test('grants two descriptors to each connection, and keeps some beside them, one for each check, and 64 for delivery', () => {
  assert.equal(connectionsWithin(20_000, needing(0)), 9900)
  assert.equal(connectionsWithin(20_000, needing(100)), 9700)
  assert.equal(connectionsWithin(20_000, needing(0, DELIVERY)), 9868)
})

test('never grants more than a small limit is enough for, and always one connection', () => {
  for (let limit = 1; limit < 2000; limit++) {
    const granted = connectionsWithin(limit, needing(10))
    assert.ok(granted >= 1)
    if (limit >= 4) assert.ok(2 * granted <= limit / 2 || 2 * granted <= limit - 200, `${limit} open files`)
  }
})

test('reads the limit of this process', () => {
  assert.ok((readDescriptorLimit() ?? 0) > 0)
})

test('takes what is configured, up to what the descriptors are enough for, of which it warns once', () => {
  const { log, lines } = keepLog()
  const capacity = createCapacity(log, 1200)
  assert.equal(capacity.max(), Infinity)
  capacity.configure(settingsWith(undefined))
  assert.equal(capacity.max(), 500)
  capacity.configure(settingsWith(100))
  assert.equal(capacity.max(), 100)
  assert.deepEqual(lines, [])
  for (let times = 0; times < 3; times++) capacity.configure(settingsWith(5000))
  assert.equal(capacity.max(), 500)
  const message = 'limit of open files too low for max_connections'
  const fields = { maxConnections: 5000, openFiles: 1200, possible: 500 }
  assert.deepEqual(lines, [{ level: 'warn', message, ...fields }])
})

test('without a readable limit of open files only the configured one counts', () => {
  const capacity = createCapacity(keepLog().log, undefined)
  capacity.configure(settingsWith(undefined))
  assert.equal(capacity.max(), Infinity)
  capacity.configure(settingsWith(7))
  assert.equal(capacity.max(), 7)
})

test('notes when there is no descriptor left', (t) => {
  const noted: string[] = []
  const look = (): void => lookForDescriptor((place, detail) => void noted.push(`${place}: ${detail}`))
  look()
  assert.deepEqual(noted, [])
  t.mock.method(fs, 'openSync', () => {
    throw Object.assign(new Error('too many open files'), { code: 'EMFILE' })
  })
  look()
  assert.deepEqual(noted, ['accept: no descriptor is left for a connection: EMFILE'])
})

test('reads the share of its descriptors by the limit of now, and 1 where none is left', async (t) => {
  const before = readDescriptorLimit()
  if (before === undefined) return // no Linux
  const limitTo = (count: number): void => {
    execFileSync('prlimit', ['--pid', String(process.pid), `--nofile=${count}:`])
  }
  t.after(() => limitTo(before))
  const share = (await readDescriptorShare()) ?? 0
  assert.ok(share > 0 && share < 1, `${share}`)
  const open = Math.round(share * before)
  limitTo(100 * open)
  const narrow = (await readDescriptorShare()) ?? 0
  assert.ok(narrow > 0.005 && narrow < 0.02, `${narrow}`)
  const taken: number[] = []
  t.after(() => {
    for (const descriptor of taken) fs.closeSync(descriptor)
  })
  limitTo(open + 20)
  for (let count = 0; count < 100; count++) {
    try {
      taken.push(fs.openSync('/', 'r'))
    } catch {
      break
    }
  }
  assert.equal(await readDescriptorShare(), 1)
  for (const descriptor of taken.splice(0)) fs.closeSync(descriptor)
})
