/** `mailmux move --from` with a real Redis: which users it takes, what it refuses, and how a second run goes on. The users are Redis's alone. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { MAIN, NODE_OF_COMMAND } from '../support/command.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { type Program, startProgram } from '../support/processes.ts'
import { run, type RunResult } from '../support/run.ts'
import { directoryConnected, instancesListed, type Site, startSite } from '../support/site.ts'

const [NODE = '', ...NODE_OPTIONS] = NODE_OF_COMMAND
const USERS = Array.from({ length: 60 }, (_, index) => `user${index}@example.test`)

let site: Site
before(async () => {
  site = await startSite({ redis: true, mailmux: { settings: { workers: 2 }, routing: { placement: 'hash' } } })
  await directoryConnected(site.mailmux)
  await instancesListed(site.redis!)
})
after(() => site.close())

const redis = (...words: string[]): Promise<string> => site.redis!.command(...words)
const at = (name: string): string => join(site.scene.directory, name)

/** One script for all users: a process of redis-cli for each of them would take longer than the moves. */
const forAll = (script: string): Promise<string> =>
  redis('EVAL', `local all = {}\nfor _, user in ipairs(ARGV) do\n${script}\nend\nreturn all`, '0', ...USERS)

/** All users of the test are on store1; the site's own are elsewhere. */
beforeEach(async () => {
  await redis('HSET', 'mailmux:user:alice@example.test', 'backend', 'store3')
  await forAll(`local key = 'mailmux:user:' .. user
    redis.call('DEL', key)
    redis.call('HSET', key, 'backend', 'store1')`)
})

const argsOf = (...args: string[]): string[] => [...NODE_OPTIONS, MAIN, 'move', ...args, '-c', site.mailmux.configFile]

function move(...args: string[]): Promise<RunResult> {
  return run(NODE, argsOf(...args), { ms: 120_000 })
}

function startMove(...args: string[]): Program {
  return startProgram(site.scene, { name: 'move', command: NODE, args: argsOf(...args) })
}

/** The back end of each user of the test, of whom the directory keeps nothing else. */
async function routes(): Promise<Map<string, string>> {
  const words = await forAll("all[#all + 1] = table.concat(redis.call('HGETALL', 'mailmux:user:' .. user), ' ')")
  return new Map(
    words.split('\n').map((fields, index) => {
      const [, backend] = /^backend (\S+)$/.exec(fields) ?? []
      assert.ok(backend, `the directory has of ${USERS[index]}: ${fields}`)
      return [USERS[index] ?? '', backend]
    }),
  )
}

/** How many of the test's users each back end has. */
async function count(): Promise<Record<string, number>> {
  const counts: Record<string, number> = {}
  for (const backend of (await routes()).values()) counts[backend] = (counts[backend] ?? 0) + 1
  return counts
}

test('moves all users of a back end, several at a time, and prints nothing but the result', async () => {
  const file = at('passes')
  const command = `echo "$MAILMUX_USER $MAILMUX_PASS" >> ${file}`
  const { code, stdout, stderr } = await move(
    '--from',
    'store1',
    '--to',
    'store2',
    '--parallel',
    '20',
    '--run',
    command,
  )
  assert.equal(stderr, '')
  assert.equal(code, 0)
  assert.match(
    stdout,
    /^moved 60 of 60, 0 failed, 0 not begun, in [\d.]+ m?s \([\d.]+ a second\)\non hold: .* at most\n$/,
  )
  assert.deepEqual(await count(), { store2: 60 })
  const passes = (await readFile(file, 'utf8')).trimEnd().split('\n')
  assert.deepEqual(passes.sort(), USERS.flatMap((user) => [`${user} 1`, `${user} final`]).sort())
})

test('takes a share, and lists it in a dry run without a change', async () => {
  const dry = await move('--from', 'store1', '--to', 'store2', '--share', '20%', '--dry-run')
  assert.equal(dry.code, 0, dry.stderr)
  assert.deepEqual(await count(), { store1: 60 })
  const listed = dry.stdout.split('\n').filter((line) => line.endsWith(' store1 store2'))
  assert.match(dry.stdout, new RegExp(`^${listed.length} users would be moved: ${listed.length} to store2$`, 'm'))
  const { code } = await move('--from', 'store1', '--to', 'store2', '--share', '20%', '--parallel', '5')
  assert.equal(code, 0)
  assert.deepEqual(await count(), { store1: 60 - listed.length, store2: listed.length })
  const moved = await routes()
  for (const line of listed) assert.equal(moved.get(line.split(' ')[0] ?? ''), 'store2')
  // The same share again has no one left.
  assert.match((await move('--from', 'store1', '--to', 'store2', '--share', '20%')).stdout, /^moved 0 of 0/)
})

test('chooses targets by placement, and leaves out what takes no users', async () => {
  await redis('HSET', 'mailmux:backend:store2', 'state', 'drain')
  try {
    const { code, stderr } = await move('--from', 'store1', '--parallel', '20')
    assert.equal(code, 0, stderr)
    assert.deepEqual(await count(), { store3: 60 })
  } finally {
    await redis('DEL', 'mailmux:backend:store2')
  }
})

test('reports all errors together, with the lines of the file, and begins nothing', async () => {
  await redis('HSET', `mailmux:user:${USERS[0]}`, 'status', 'disabled')
  const file = at('users')
  await writeFile(file, `# two are wrong\n${USERS[0]}\na b\n${USERS[1]}\nnobody@example.test\nalice@example.test\n`)
  const args = ['--from', 'store1', '--to', 'store2', '--users', file, '--run', 'no-such-command']
  const { code, stdout, stderr } = await move(...args)
  await redis('HDEL', `mailmux:user:${USERS[0]}`, 'status')
  assert.equal(code, 1)
  assert.equal(stdout, '')
  for (const words of [
    `${file}:2: ${USERS[0]}: the user is disabled`,
    `${file}:3: no name of a user`,
    `${file}:5: nobody@example.test: the directory has no route of the user`,
    `${file}:6: alice@example.test: the user is on store3, not on store1`,
    'no-such-command is not found in PATH',
    'nothing was begun',
  ])
    assert.ok(stderr.includes(words), `${words}\n--- is not in\n${stderr}`)
  assert.deepEqual(await count(), { store1: 60 })

  const other = await move('--from', 'store9', '--to', 'store8', '--share', '200%')
  assert.equal(other.code, 1)
  for (const words of ['store9 is no back end', 'store8 is no back end', '--share 200% is no share'])
    assert.ok(other.stderr.includes(words), other.stderr)
  for (const args of [
    [],
    ['--from', 'store1', 'alice'],
    ['alice', 'store2', '--dry-run'],
    ['--from', 'store1', '--parallel', '0'],
  ])
    assert.equal((await move(...args)).code, 2, args.join(' '))
})

test('an interruption finishes or rolls back, and the same command goes on', async () => {
  const journal = at('interrupted.journal')
  const fast = at('fast')
  const command = `[ -e ${fast} ] || sleep 0.2`
  const args = ['--from', 'store1', '--to', 'store2', '--parallel', '4', '--journal', journal, '--run', command]
  const program = startMove(...args)
  await until(
    START_DEADLINE_MS,
    async () => (await readFile(journal, 'utf8').catch(() => '')).includes('"event":"moved"') || undefined,
    () => 'no user is moved',
  )
  program.signal('SIGINT')
  assert.deepEqual(await program.exited, { code: 75, signal: null })
  assert.match(program.stdout(), /^to go on, run the same command again$/m)
  const { store1 = 0, store2 = 0 } = await count()
  assert.ok(store1 > 0 && store2 > 0)
  await writeFile(fast, '')
  assert.equal((await move(...args)).code, 0)
  assert.deepEqual(await count(), { store2: 60 })
})

test('a run after a kill looks at the users in the directory, and does not wait for their holds to expire', async () => {
  const journal = at('killed.journal')
  const users = at('killed.users')
  await writeFile(users, `${USERS.join('\n')}\n`)
  const passes = at('killed.passes')
  const command = `echo "$MAILMUX_USER" >> ${passes}; [ $MAILMUX_PASS = 1 ] || sleep 0.5`
  const args = ['--from', 'store1', '--to', 'store2', '--users', users, '--parallel', '4', '--journal', journal]
  const program = startMove(...args, '--run', command)
  await until(
    START_DEADLINE_MS,
    async () => {
      const text = await readFile(journal, 'utf8').catch(() => '')
      const events = (of: string): number => text.split(`"${of}"`).length - 1
      return (events('moved') > 0 && events('hold') > events('moved')) || undefined
    },
    () => 'no user is on hold after another was moved',
  )
  program.signal('SIGKILL')
  await program.exited
  const done = (await readFile(journal, 'utf8')).match(/"event":"moved","user":"[^"]+"/g)!.length
  await writeFile(passes, '')
  const { code, stdout, stderr } = await move(...args, '--run', `echo "$MAILMUX_USER" >> ${passes}`)
  assert.equal(code, 0, stderr)
  assert.deepEqual(await count(), { store2: 60 })
  const again = new Set((await readFile(passes, 'utf8')).trimEnd().split('\n'))
  assert.ok(again.size <= 60 - done, 'a user that was moved is not copied again')
  assert.match(stdout, new RegExp(`^moved ${again.size} of ${again.size}, `))
})

test('a second run with the same journal at the same time is refused', async () => {
  const journal = at('locked.journal')
  const args = ['--from', 'store1', '--to', 'store2', '--journal', journal, '--run', 'sleep 2']
  const program = startMove(...args)
  await until(
    START_DEADLINE_MS,
    async () => (await readFile(journal, 'utf8').catch(() => '')) || undefined,
    () => 'there is no journal',
  )
  const second = await move(...args)
  assert.equal(second.code, 1)
  assert.match(second.stderr, new RegExp(`process ${program.pid} uses the journal`))
  program.signal('SIGINT')
  assert.equal((await program.exited).code, 75)
})
