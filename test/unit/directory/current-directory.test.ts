/** The directory in force, and its replacement by a reload, with directories that are played by the test. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AuthHttpSettings, DirectorySettings, RedisSettings } from '../../../src/config/settings.ts'
import { openCurrentDirectory } from '../../../src/directory/current-directory.ts'
import type { AnswerSource, Directory, DirectoryAnswer, DirectoryMonitor } from '../../../src/directory/directory.ts'
import { MuxError } from '../../../src/errors.ts'
import { silent } from './scripted-redis.ts'

/** A directory of this Redis port, whose lookups wait until they are answered. */
type Played = {
  port: number
  directory: Directory
  monitor: DirectoryMonitor
  asked: { user: string; answer: (source?: AnswerSource) => void; fail: () => void }[]
  closed: ({ isReplaced: boolean } | undefined)[]
  renewed: DirectorySettings[]
  change: (user: string | undefined) => void
}

const redis = (port: number, more: Partial<RedisSettings> = {}): RedisSettings => ({
  kind: 'redis',
  servers: { kind: 'single', server: { host: '127.0.0.1', port }, database: 0 },
  username: undefined,
  password: undefined,
  tls: undefined,
  prefix: 'mailmux:',
  timeoutMs: 1000,
  cache: { maxEntries: 1, lifetimeMs: 1, negativeLifetimeMs: 1, maxStaleMs: 1 },
  snapshotFile: undefined,
  snapshotSlot: 1,
  ...more,
})

const portOf = (settings: DirectorySettings): number =>
  settings.kind === 'redis' && settings.servers.kind === 'single' ? settings.servers.server.port : 0

/** @param unreachable ports of directories that cannot be reached */
function start(first: DirectorySettings, unreachable: readonly number[] = [], silentPorts: readonly number[] = []) {
  const opened: Played[] = []
  const ups: boolean[] = []
  const lines: string[] = []
  const snapshots: (number | undefined)[] = []
  const links: string[] = []
  const monitor: DirectoryMonitor = {
    directoryIsUp: (up) => ups.push(up),
    directoryHasLostData: () => undefined,
    directoryAnsweredBadly: () => undefined,
    snapshotIsComplete: (atMs) => snapshots.push(atMs),
  }
  function open(settings: DirectorySettings, log: { error: (text: string) => void }, own: DirectoryMonitor) {
    if (settings.kind === 'static') return undefined
    const port = portOf(settings)
    const played: Played = {
      port,
      monitor: own,
      asked: [],
      closed: [],
      renewed: [],
      change: () => undefined,
      directory,
    }
    function lookup(user: string): Promise<DirectoryAnswer> {
      const { promise, resolve, reject } = Promise.withResolvers<DirectoryAnswer>()
      const entry = { backend: `store${port}`, login: undefined, status: 'active' } as const
      played.asked.push({
        user,
        answer: (source = 'directory') => resolve({ entry, source }),
        fail: () => reject(new MuxError('directory-unavailable', `Redis ${port} is away`)),
      })
      return promise
    }
    const isAway = unreachable.includes(port)
    played.directory = {
      connected: isAway ? new Promise(() => undefined) : Promise.resolve(),
      check: () => {
        if (silentPorts.includes(port)) return new Promise(() => undefined)
        return isAway ? Promise.reject(new Error(`Redis: ECONNREFUSED ${port}`)) : Promise.resolve()
      },
      lookup,
      invalidate: () => undefined,
      onRouteChanged: (hear) => (played.change = hear),
      onBackendChanged: () => undefined,
      renew: (next) => played.renewed.push(next),
      close(how) {
        played.closed.push(how)
        return Promise.resolve()
      },
    }
    log.error(`line of ${port}`)
    own.directoryIsUp(!isAway)
    opened.push(played)
    return played.directory
  }
  const others = {
    of(store: string) {
      links.push(store)
      return {
        marker: undefined,
        markerSeen: () => undefined,
        onMarker: () => undefined,
        standIns: () => Promise.resolve([]),
        close: () => void links.splice(links.indexOf(store), 1),
      }
    },
  }
  const log = {
    ...silent,
    info: (_: unknown, text?: string) => lines.push(text ?? ''),
    error: (text: string) => lines.push(text),
  }
  const current = openCurrentDirectory(first, {
    log: log as typeof silent,
    monitor,
    others,
    open: open,
    reachMs: 20,
    checkMs: 20,
  })
  return { current, opened, ups, lines, links, snapshots }
}

const directory = {} as Directory
const settle = () => new Promise((resolve) => setImmediate(resolve))
const backendOf = async (answer: Promise<DirectoryAnswer>) => (await answer).entry?.backend

test('connects the next directory before it replaces the one in force, and reports its state from then on', async () => {
  const { current, opened, ups, lines } = start(redis(1))
  assert.deepEqual([ups, lines], [[true], ['line of 1']])
  await current.prepare(redis(2))
  opened[1]!.monitor.directoryIsUp(false)
  opened[1]!.monitor.directoryIsUp(true)
  assert.deepEqual([opened.length, ups, lines, opened[0]!.closed], [2, [true], ['line of 1'], []])
  current.enter(redis(2))
  await settle()
  assert.deepEqual(ups, [true, true])
  assert.deepEqual(lines, ['line of 1', 'line of 2', 'directory replaced'])
  assert.deepEqual(
    opened.map(({ closed }) => closed),
    [[{ isReplaced: true }], []],
  )
  opened[0]!.monitor.directoryIsUp(false)
  assert.deepEqual(ups, [true, true], 'the end of the old one is no outage')
  const asked = current.lookup('alice')
  opened[1]!.asked[0]!.answer()
  assert.equal(await backendOf(asked), 'store2')
})

test('the time of a snapshot file counts while its directory is in force', async () => {
  const { current, opened, snapshots } = start(redis(1))
  opened[0]!.monitor.snapshotIsComplete?.(1000)
  await current.prepare(redis(2))
  opened[1]!.monitor.snapshotIsComplete?.(2000)
  assert.deepEqual(snapshots, [undefined, 1000])
  current.enter(redis(2))
  await settle()
  opened[0]!.monitor.snapshotIsComplete?.(3000)
  assert.deepEqual(snapshots.splice(0), [undefined, 1000, 2000])
  await current.prepare(redis(3)) // without such a file
  current.enter(redis(3))
  assert.deepEqual(snapshots, [undefined])
})

test('refuses a directory that cannot be reached: the one in force keeps answering, and nothing stays open', async () => {
  const { current, opened, ups, lines, links } = start(redis(1), [2])
  await assert.rejects(current.prepare(redis(2)), {
    message: 'the new directory cannot be used: Redis: ECONNREFUSED 2',
  })
  await settle()
  assert.deepEqual([opened[1]!.closed.length, ups, lines, links.length], [1, [true], ['line of 1'], 1])
  const asked = current.lookup('alice')
  opened[0]!.asked[0]!.answer()
  assert.equal(await backendOf(asked), 'store1')
})

test('refuses a directory that accepts the connection and does not answer', async () => {
  const { current, opened } = start(redis(1), [], [2])
  await assert.rejects(current.prepare(redis(2)), {
    message: 'the new directory cannot be used: no answer within 20 ms',
  })
  await settle()
  assert.equal(opened[1]!.closed.length, 1)
})

test('a prepared directory that does not come into force is closed', async () => {
  const { current, opened, links } = start(redis(1))
  await current.prepare(redis(2))
  assert.equal(links.length, 2)
  current.discard()
  await settle()
  assert.deepEqual([opened[1]!.closed.length, links.length], [1, 1])
  await current.prepare(redis(3))
  await current.prepare(redis(1)) // back to the one in force
  await settle()
  assert.deepEqual(
    opened.map(({ closed }) => closed.length),
    [0, 1, 1],
  )
})

test('a lookup under way ends at the old directory, which is closed after it', async () => {
  const { current, opened } = start(redis(1))
  const asked = current.lookup('alice')
  await current.prepare(redis(2))
  current.enter(redis(2))
  await settle()
  assert.deepEqual(opened[0]!.closed, [])
  opened[0]!.asked[0]!.answer()
  assert.equal(await backendOf(asked), 'store1')
  await settle()
  assert.equal(opened[0]!.closed.length, 1)
})

for (const [what, end] of [
  ['answers from memory', (lookup: Played['asked'][number]) => lookup.answer('stale')],
  ['cannot answer', (lookup: Played['asked'][number]) => lookup.fail()],
] as const)
  test(`asks the new directory where the old one ${what} after the change`, async () => {
    const { current, opened } = start(redis(1))
    const asked = current.lookup('alice')
    await current.prepare(redis(2))
    current.enter(redis(2))
    end(opened[0]!.asked[0]!)
    await settle()
    opened[1]!.asked[0]!.answer()
    assert.equal(await backendOf(asked), 'store2')
  })

test('tells that any route and any state may have changed, and hears the old directory no more', async () => {
  const { current, opened } = start(redis(1))
  const heard: unknown[] = []
  current.onRouteChanged((user) => heard.push(user))
  current.onBackendChanged((backend) => heard.push(['backend', backend]))
  await current.prepare(redis(2))
  opened[1]!.change('of the prepared one')
  current.enter(redis(2))
  opened[0]!.change('of the old one')
  opened[1]!.change('bob')
  assert.deepEqual(heard, [undefined, ['backend', undefined], 'bob'])
})

test('hands secrets and the times of the cache to the directory in force', async () => {
  const { current, opened } = start(redis(1))
  const changed = redis(1, { cache: { maxEntries: 1, lifetimeMs: 5, negativeLifetimeMs: 5, maxStaleMs: 5 } })
  await current.prepare(changed)
  current.enter(changed)
  assert.equal(opened.length, 1)
  assert.deepEqual(opened[0]!.renewed, [changed])
})

test('changes between Redis, an auth server and no directory', async () => {
  const { current, opened, ups } = start({ kind: 'static' })
  assert.deepEqual(await current.lookup('alice'), { entry: undefined, source: 'directory' })
  const auth: AuthHttpSettings = {
    kind: 'auth_http',
    url: new URL('http://127.0.0.1:1/auth'),
    timeoutMs: 1000,
    headers: new Map(),
    ca: undefined,
    sendPassword: false,
    sendClientCertificate: false,
  }
  for (const next of [redis(1), auth, { kind: 'static' } as const]) {
    await current.prepare(next)
    current.enter(next)
  }
  await settle()
  assert.equal(await backendOf(current.lookup('alice')), undefined)
  assert.deepEqual(
    opened.map(({ closed }) => closed.length),
    [1, 1],
  )
  assert.deepEqual(ups, [true, true, true, true])
  await assert.rejects(current.commit?.('alice', 'store1') ?? Promise.resolve(), /was replaced during the login/)
})

test('opens a directory that was not prepared, and closes all of them at the end', async () => {
  const { current, opened, links } = start(redis(1))
  const asked = current.lookup('alice')
  current.enter(redis(2))
  await current.prepare(redis(3))
  await current.close()
  assert.deepEqual(
    opened.map(({ closed }) => closed.length),
    [1, 1, 1],
  )
  assert.deepEqual(links, [])
  opened[0]!.asked[0]!.fail()
  await settle()
  opened[1]!.asked[0]!.fail()
  await assert.rejects(asked, /Redis 2 is away/)
})

test('is empty while routes are only in the routing file', async () => {
  const { current } = start({ kind: 'static' })
  assert.equal(current.isEmpty(), true)
  await current.prepare(redis(1))
  current.enter(redis(1))
  assert.equal(current.isEmpty(), false)
  current.enter({ kind: 'static' })
  assert.equal(current.isEmpty(), true)
})
