/** Blocks: what can be blocked, what must not be, how long a block lasts, and that an outage of the store ends none. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findObjection, readTarget, type Block, type BlockTarget } from '../../../src/blocks/block.ts'
import { createBlockTable } from '../../../src/blocks/block-table.ts'
import { createBlocks, MOST_BLOCKS, READ_EVERY_MS, type BlockStore } from '../../../src/blocks/blocks.ts'

const RULES = { userCase: 'lower', aliases: new Map() } as const

test('reads addresses, networks and names of users in one form each', () => {
  for (const [text, kind, target] of [
    ['192.0.2.7', 'address', '192.0.2.7'],
    ['192.0.2.0/24', 'address', '192.0.2.0/24'],
    ['192.0.2.7/32', 'address', '192.0.2.7'],
    ['2001:DB8::1', 'address', '2001:db8::1'],
    ['2001:db8::/64', 'address', '2001:db8::/64'],
    ['Alice@Example.Test', 'user', 'alice@example.test'],
    ['alice', 'user', 'alice'],
  ])
    assert.deepEqual(readTarget(text ?? '', RULES), { kind, target })
})

test('takes no network with host bits, not every address, and nothing that no user can be named', () => {
  for (const [text, why] of [
    ['192.0.2.7/24', /host bits: the network is 192\.0\.2\.0\/24/u],
    ['0.0.0.0/0', /every address/u],
    ['::/0', /every address/u],
    ['a b', /no address/u],
    ['', /no address/u],
  ] as const) {
    const read = readTarget(text, RULES)
    assert.ok('wrong' in read, text)
    assert.match(read.wrong, why)
  }
})

test('takes a wrong address or network for no name of a user', () => {
  for (const text of [
    '300.1.2.3',
    '192.0.2',
    '192.0.2.0/33',
    '192.0.2.*',
    '192.0.2.1-192.0.2.9',
    '2001:db8::/129',
    '1:2',
  ])
    assert.deepEqual(readTarget(text, RULES), { wrong: `${text} is no address and no network` })
  for (const text of ['12345', '555-1234', 'dead.beef', '192.0.2.7@example.test'])
    assert.deepEqual(readTarget(text, RULES), { kind: 'user', target: text })
})

test('objects to a block that covers a protected network, or is within one', () => {
  const protectedOnes = [{ networks: ['198.51.100.0/24', '2001:db8::/32'], why: 'exempt' }]
  const objection = (target: string) => findObjection({ kind: 'address', target }, protectedOnes)
  for (const target of ['198.51.100.7', '198.51.100.0/28', '198.51.0.0/16', '2001:db8:1::1', '2000::/3'])
    assert.equal(objection(target), 'exempt', target)
  assert.equal(objection('198.51.101.1'), undefined)
  assert.equal(findObjection({ kind: 'user', target: 'alice' }, protectedOnes), undefined)
})

test('rejects blocked addresses, networks and users, and nothing else', () => {
  const table = createBlockTable()
  const { guard } = table
  const replace = (blocks: readonly BlockTarget[]) => table.replace(blocks)
  const facts = (address: string, user?: string) =>
    ({ protocol: 'imap', listener: 'imap', address, limits: undefined, user }) as const
  const rejects = (address: string, user?: string) => [
    guard.ofConnection?.(facts(address))?.limit,
    guard.ofLogin?.(facts(address, user))?.limit,
  ]
  assert.deepEqual(rejects('192.0.2.7', 'alice'), [undefined, undefined])
  const blocks: BlockTarget[] = [
    { kind: 'address', target: '192.0.2.7' },
    { kind: 'address', target: '2001:db8::/64' },
    { kind: 'user', target: 'bob@example.test' },
  ]
  assert.deepEqual(replace(blocks), blocks)
  assert.deepEqual(rejects('192.0.2.7', 'alice'), ['block', 'block'])
  assert.deepEqual(rejects('::ffff:192.0.2.7'), ['block', 'block'])
  assert.deepEqual(rejects('2001:db8::9'), ['block', 'block'])
  assert.deepEqual(rejects('192.0.2.8', 'bob@example.test'), [undefined, 'block'])
  assert.deepEqual(rejects('192.0.2.8', 'carol'), [undefined, undefined])
  const next: BlockTarget = { kind: 'user', target: 'carol' }
  assert.deepEqual(replace([...blocks, next]), [next])
  assert.deepEqual(replace([]), [])
  assert.deepEqual(rejects('192.0.2.7', 'bob@example.test'), [undefined, undefined])
})

function open(store?: BlockStore) {
  let now = 1_000_000
  let isDeaf = false
  const applied: string[][] = []
  const blocks = createBlocks({
    store,
    apply(targets) {
      if (isDeaf) return Promise.resolve({ ended: 0, incomplete: [2] })
      applied.push(targets.map(({ target }) => target))
      return Promise.resolve({ ended: targets.length })
    },
    nowMs: () => now,
  })
  const block = (target: string, forMs?: number): Block => {
    return { kind: 'user', target, by: 'op', sinceMs: now, untilMs: forMs === undefined ? undefined : now + forMs }
  }
  return { blocks, applied, block, pass: (ms: number) => (now += ms), setDeaf: (deaf: boolean) => (isDeaf = deaf) }
}

test('without a store keeps blocks itself, and ends each when its time is over', async () => {
  const { blocks, applied, block, pass } = open()
  assert.equal(await blocks.add(block('alice', 3000)), true)
  assert.equal(await blocks.add(block('bob')), true)
  assert.deepEqual(await blocks.refresh(), { ended: 2 })
  pass(2999)
  await blocks.tick()
  assert.equal(blocks.list().length, 2)
  pass(1)
  await blocks.tick()
  assert.deepEqual(
    blocks.list().map(({ target }) => target),
    ['bob'],
  )
  assert.deepEqual(applied, [['alice', 'bob'], ['bob']])
  assert.deepEqual([await blocks.remove(block('bob')), await blocks.remove(block('bob'))], [true, false])
  await blocks.refresh()
  assert.deepEqual(applied.at(-1), [])
})

test('keeps the blocks of the process whose place it takes, with their ends, and no others', async () => {
  const { blocks, applied, block, pass } = open()
  await blocks.adopt([block('alice', 3000), block('bob'), block('over', 0)])
  assert.deepEqual(applied, [['alice', 'bob']])
  // What that process was told meanwhile: one block more, and one less.
  await blocks.adopt([block('alice', 3000), block('carol')])
  pass(3000)
  await blocks.tick()
  assert.deepEqual(applied.slice(1), [['alice', 'carol'], ['carol']])
  assert.deepEqual([await blocks.remove(block('carol')), await blocks.remove(block('bob'))], [true, false])
})

test('enforces the blocks that it is handed until the store of all instances can be read', async () => {
  const store: { stored?: Block[] } = {}
  const { blocks, applied, block, pass } = open({
    add: () => Promise.reject(new Error('away')),
    remove: () => Promise.reject(new Error('away')),
    list: () => (store.stored ? Promise.resolve(store.stored) : Promise.reject(new Error('away'))),
  })
  await blocks.adopt([block('alice')])
  pass(READ_EVERY_MS)
  await blocks.tick()
  assert.deepEqual(applied, [['alice']])
  store.stored = []
  pass(READ_EVERY_MS)
  await blocks.tick()
  assert.deepEqual(applied, [['alice'], []])
})

test('has a largest number of blocks, and replaces one that exists', async () => {
  const { blocks, block } = open()
  for (let count = 0; count < MOST_BLOCKS; count++) await blocks.add(block(`u${count}`))
  assert.equal(await blocks.add(block('more')), false)
  assert.equal(await blocks.add(block('u7', 1000)), true)
})

test('applies again what a worker has not taken', async () => {
  const { blocks, applied, block, pass, setDeaf } = open()
  setDeaf(true)
  await blocks.add(block('alice'))
  assert.deepEqual(await blocks.refresh(), { ended: 0, incomplete: [2] })
  setDeaf(false)
  pass(1000)
  await blocks.tick()
  assert.deepEqual(applied, [['alice']])
})

test('reads the store every five seconds, and keeps what is known while it cannot be read', async () => {
  let stored: Block[] = []
  let isAway = false
  const store: BlockStore = {
    add: () => Promise.resolve(true),
    list: () => (isAway ? Promise.reject(new Error('away')) : Promise.resolve(stored)),
    remove: () => Promise.resolve(0),
  }
  const { blocks, applied, block, pass } = open(store)
  await blocks.tick()
  stored = [block('alice', 60_000)]
  pass(READ_EVERY_MS - 1)
  await blocks.tick()
  assert.deepEqual(applied, [])
  pass(1)
  await blocks.tick()
  assert.deepEqual(applied, [['alice']])
  isAway = true
  pass(READ_EVERY_MS)
  await blocks.tick()
  assert.equal(blocks.list().length, 1)
  pass(60_000)
  await blocks.tick()
  pass(1000)
  await blocks.tick()
  assert.deepEqual(blocks.list(), [])
  assert.equal(JSON.stringify(applied.slice(-1)), '[[]]')
})

/** A store with these blocks, which notes what is removed. */
function storeOf(stored: readonly Block[]): BlockStore & { removed: string[]; readings: number } {
  const store = {
    removed: [] as string[],
    readings: 0,
    add: () => Promise.resolve(true),
    list() {
      store.readings++
      return Promise.resolve([...stored])
    },
    remove(targets: readonly BlockTarget[]) {
      store.removed.push(...targets.map(({ target }) => target))
      return Promise.resolve(targets.length)
    },
  }
  return store
}

const STORED: Block = { kind: 'user', target: 'alice', by: 'op', sinceMs: 1, untilMs: undefined }

test('a reading applies again what a worker has not taken, though nothing has changed', async () => {
  const { blocks, applied, setDeaf } = open(storeOf([STORED]))
  setDeaf(true)
  await blocks.refresh()
  setDeaf(false)
  assert.deepEqual(await blocks.refresh(), { ended: 1 })
  assert.deepEqual(applied, [['alice']])
  assert.deepEqual(await blocks.refresh(), { ended: 0 })
})

test('removes blocks from the store whose time is over', async () => {
  const store = storeOf([STORED, { ...STORED, target: 'bob', untilMs: 2 }])
  const { blocks } = open(store)
  await blocks.refresh()
  assert.deepEqual(store.removed, ['bob'])
})

test('reads the store after the clock was set back', async () => {
  const store = storeOf([])
  const { blocks, pass } = open(store)
  await blocks.tick()
  pass(-500_000)
  await blocks.tick()
  assert.equal(store.readings, 2)
})

test('brings no more blocks of the store into force than there may be', async () => {
  const stored = Array.from({ length: MOST_BLOCKS + 1 }, (_, n) => ({ ...STORED, target: `u${n}` }))
  const { blocks } = open(storeOf(stored))
  await blocks.refresh()
  assert.equal(blocks.list().length, MOST_BLOCKS)
})

/** A store in memory, which a test can take away. */
function storeWith(stored: Block[]) {
  const state = { isAway: false, stored }
  const orFail = <T>(value: T): Promise<T> =>
    state.isAway ? Promise.reject(new Error('away')) : Promise.resolve(value)
  const store: BlockStore = {
    add(block) {
      if (!state.isAway) state.stored = [...state.stored, block]
      return orFail(true)
    },
    list: () => orFail(state.stored),
    remove: () => orFail(0),
  }
  return { store, state }
}

test('moves the blocks in force to another store, and keeps what that one says of the same target', async () => {
  const { blocks, block } = open()
  await blocks.add(block('alice'))
  await blocks.add(block('bob'))
  await blocks.refresh()
  const other: Block = { ...block('bob'), by: 'another' }
  const { store, state } = storeWith([other])
  await blocks.moveTo(store)
  assert.deepEqual(state.stored, [other, block('alice')])
  assert.deepEqual(
    blocks.list().map(({ target, by }) => [target, by]),
    [
      ['bob', 'another'],
      ['alice', 'op'],
    ],
  )
})

test('ends no block where the next store is away, and moves it later', async () => {
  const { blocks, block, pass } = open()
  await blocks.add(block('alice'))
  await blocks.refresh()
  const { store, state } = storeWith([])
  state.isAway = true
  await blocks.moveTo(store)
  assert.equal(blocks.list().length, 1)
  state.isAway = false
  pass(READ_EVERY_MS)
  await blocks.tick()
  assert.deepEqual([state.stored.length, blocks.list().length], [1, 1])
  await blocks.moveTo(undefined)
  await blocks.refresh()
  assert.equal(blocks.list().length, 1)
})
