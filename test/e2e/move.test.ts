/** `mailmux move` as an operator runs it: real instances with workers, a real Redis, sessions of both protocols, and a copy command. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'
import { movesAnswer } from '../../src/admin/answers.ts'
import { MAIN, NODE_OF_COMMAND } from '../support/command.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { freePort } from '../support/ports.ts'
import { type Program, startProgram } from '../support/processes.ts'
import { run, type RunResult } from '../support/run.ts'
import { directoryConnected, instancesListed, PASSWORD, type Site, startSite } from '../support/site.ts'

const ALICE = 'alice@example.test'
const KEY = `mailmux:user:${ALICE}`
const [NODE = '', ...NODE_OPTIONS] = NODE_OF_COMMAND

const TOKEN = 'e2e-token'

let site: Site
before(async () => {
  site = await startSite({ redis: true, mailmux: { adminToken: TOKEN, settings: { workers: 2 } } })
  await directoryConnected(site.mailmux)
  await instancesListed(site.redis!)
})
after(() => site.close())

const argsOf = (...args: string[]): string[] => [...NODE_OPTIONS, MAIN, 'move', ...args, '-c', site.mailmux.configFile]

function move(...args: string[]): Promise<RunResult> {
  return run(NODE, argsOf(...args), { ms: 120_000 })
}

function startMove(...args: string[]): Program {
  return startProgram(site.scene, { name: 'move', command: NODE, args: argsOf(...args) })
}

const redis = (...words: string[]): Promise<string> => site.redis!.command(...words)

async function logIn(protocol: 'imap' | 'pop3') {
  const client = await site.open(protocol, 'starttls')
  assert.ok((await client.login(ALICE, PASSWORD)).accepted)
  return client
}

async function storeOf(): Promise<string> {
  const client = await logIn('imap')
  const subjects = await client.subjects()
  await client.quit()
  return /^You are on (\w+)/.exec(subjects[0] ?? '')?.[1] ?? subjects.join()
}

test('moves a user with sessions of both protocols, and prints each step', async () => {
  await redis('HSET', KEY, 'backend', 'store1')
  const idle = await Promise.all(Array.from({ length: 4 }, () => logIn('imap')))
  for (const { peer } of idle) {
    peer.send('s SELECT INBOX')
    await peer.expectUntil(/^s OK/)
    await peer.ask('i IDLE', /^\+/)
  }
  const pop3 = await logIn('pop3')
  const file = join(site.scene.directory, 'passes')
  const command = `echo "$MAILMUX_USER $MAILMUX_FROM $MAILMUX_TO $MAILMUX_PASS" >> ${file}`
  const { code, stdout, stderr } = await move(ALICE, 'store2', '--run', command)
  assert.equal(stderr, '')
  assert.equal(code, 0)
  for (const step of ['check', 'copy', 'hold', 'end', 'final', 'switch', 'release'])
    assert.match(stdout, new RegExp(`^${step} +done in \\d`, 'm'))
  assert.match(stdout, /^alice@example\.test: moved from store1 to store2, on hold for [\d.]+ m?s$/m)
  assert.equal(await readFile(file, 'utf8'), `${ALICE} store1 store2 1\n${ALICE} store1 store2 final\n`)
  for (const { peer } of idle) {
    await peer.expectUntil(/^\* BYE \[UNAVAILABLE\] The mailbox has moved/)
    await peer.expectClose()
  }
  await pop3.peer.expectClose()
  assert.equal(await storeOf(), 'store2')
  assert.equal(await redis('HGETALL', KEY), 'backend\nstore2')
})

test('prints each event of a move as a line of JSON with --json', async () => {
  await redis('DEL', KEY)
  await redis('HSET', KEY, 'backend', 'store1')
  const { code, stdout, stderr } = await move(ALICE, 'store2', '--run', 'true', '--json')
  assert.deepEqual([code, stderr], [0, ''])
  const lines = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
  const done = lines.filter(({ event, state }) => event === 'step' && state === 'done').map(({ step }) => step)
  assert.deepEqual(done, ['check', 'copy', 'hold', 'end', 'final', 'switch', 'release'])
  const [moved, end] = lines.slice(-2)
  const { event, user, from, to } = moved!
  assert.deepEqual([event, user, from, to], ['moved', ALICE, 'store1', 'store2'])
  assert.deepEqual([end!.event, end!.moved, end!.failed, end!.code], ['end', 1, 0, 0])
  const refused = await move(ALICE, 'nowhere', '--json')
  assert.equal(refused.code, 1)
  assert.match(String((JSON.parse(refused.stdout) as { errors: string[] }).errors), /nowhere is no back end/)
})

test('says that the user was removed during the final copy, and creates no route again', async () => {
  await redis('DEL', KEY)
  await redis('HSET', KEY, 'backend', 'store1')
  const others = async () =>
    (await redis('KEYS', 'mailmux:user:*'))
      .split('\n')
      .filter((key) => key !== KEY)
      .sort()
  const before = await others()
  const remove = `[ "$MAILMUX_PASS" != final ] || redis-cli -p ${site.redis!.port} DEL ${KEY} > /dev/null`
  const { code, stderr } = await move(ALICE, 'store2', '--run', remove)
  assert.equal(code, 1, stderr)
  assert.match(
    stderr,
    /: not moved: .*; the user has no route any more: it was removed while the move ran; the mail on store1, /,
  )
  assert.equal(await redis('EXISTS', KEY), '0')
  assert.deepEqual(await others(), before)
  await redis('HSET', KEY, 'backend', 'store1')
})

test('a login during the hold waits, and reaches the new store', async () => {
  await redis('HSET', KEY, 'backend', 'store1')
  const go = join(site.scene.directory, 'go')
  const program = startMove(
    ALICE,
    'store3',
    '--run',
    `[ $MAILMUX_PASS = 1 ] || while [ ! -e ${go} ]; do sleep 0.1; done`,
  )
  await program.waitForLine((line) => line.startsWith('end '), START_DEADLINE_MS, 'the end of the sessions')
  const login = storeOf()
  // The login has reached the hold once the second one below is refused as a second move is.
  const second = await move(ALICE, 'store2')
  assert.equal(second.code, 75)
  assert.match(second.stderr, /the user is being moved by \S+\/\d+ since \d{4}-\d\d-\d\dT[\d:]+Z/)
  await run('touch', [go])
  assert.deepEqual(await program.exited, { code: 0, signal: null })
  assert.equal(await login, 'store3')
})

test('is listed by the API while it runs, and counted by its outcome', async () => {
  const list = async () => {
    const url = `http://127.0.0.1:${site.mailmux.ports.admin}/api/v1/moves`
    const response = await fetch(url, { headers: { authorization: `Bearer ${TOKEN}` } })
    return movesAnswer.parse(await response.json()).moves
  }
  const counted = async (outcome: string): Promise<number> =>
    (await site.mailmux.metric(`mailmux_moves_total{outcome="${outcome}"}`)) ?? 0
  await redis('HSET', KEY, 'backend', 'store1')
  const before = { moved: await counted('moved'), failed: await counted('failed') }
  const go = join(site.scene.directory, 'go-listed')
  const program = startMove(ALICE, 'store2', '--run', `while [ ! -e ${go} ]; do sleep 0.1; done`)
  const [listed] = await until(
    START_DEADLINE_MS,
    async () => {
      const moves = await list()
      return moves[0]?.users[0]?.step === 'copy' ? moves : undefined
    },
    () => 'the move is not listed',
  )
  assert.deepEqual(listed?.users, [{ user: ALICE, from: 'store1', to: 'store2', step: 'copy' }])
  assert.equal(await site.mailmux.metric('mailmux_moves_running'), 1)
  await run('touch', [go])
  assert.deepEqual(await program.exited, { code: 0, signal: null })
  assert.deepEqual([await list(), await counted('moved')], [[], before.moved + 1])
  assert.equal((await move(ALICE, 'store3', '--run', 'exit 1')).code, 1)
  assert.equal(await counted('failed'), before.failed + 1)
})

test('reports all that forbids the move together, and holds nothing', async () => {
  await redis('HSET', KEY, 'backend', 'store1')
  await redis('HSET', 'mailmux:backend:store2', 'state', 'drain')
  const { code, stderr } = await move(ALICE, 'store2', '--run', '/no/such/command')
  await redis('DEL', 'mailmux:backend:store2')
  assert.equal(code, 1)
  assert.match(stderr, /the state of store2 is drain, not up/)
  assert.match(stderr, /\/no\/such\/command does not exist/)
  for (const [args, why] of [
    [[ALICE, 'store1'], /the user is on store1 already/],
    [[ALICE, 'store9'], /store9 is no back end of the routing file/],
    [['nobody@example.test', 'store2'], /the directory has no route of the user/],
    [['a b', 'store2'], /a b cannot be the name of a user/],
  ] as const) {
    const result = await move(...args)
    assert.equal(result.code, 1, result.stdout)
    assert.match(result.stderr, why)
  }
  assert.equal((await move(ALICE, 'store2', '--settle', 'soon')).code, 2)
  assert.equal((await move(ALICE)).code, 2)
  assert.equal(await redis('HGETALL', KEY), 'backend\nstore1')
})

test('rolls back when the command fails in the final pass, and says so', async () => {
  await redis('HSET', KEY, 'backend', 'store1')
  const { code, stderr } = await move(
    ALICE,
    'store2',
    '--run',
    '[ $MAILMUX_PASS = 1 ] || { echo no space >&2; exit 3; }',
  )
  assert.equal(code, 1)
  assert.match(
    stderr,
    /^alice@example\.test: not moved: final: the command failed with exit 3 in pass final: no space; the user stays on store1$/m,
  )
  assert.equal(await redis('HGETALL', KEY), 'backend\nstore1')
  assert.equal(await storeOf(), 'store1')
})

test('ends with 75 without Redis, for one user and for many', async () => {
  const config = await readFile(site.mailmux.configFile, 'utf8')
  const file = join(dirname(site.mailmux.configFile), 'no-redis.yaml')
  const other = config.replace(/redis:\/\/127\.0\.0\.1:\d+/, `redis://127.0.0.1:${await freePort()}`)
  assert.notEqual(other, config)
  await writeFile(file, other)
  const orders = [
    [ALICE, 'store2'],
    ['--from', 'store1', '--to', 'store2'],
  ]
  const results = await Promise.all(
    orders.map((order) => run(NODE, [...NODE_OPTIONS, MAIN, 'move', ...order, '-c', file], { ms: 120_000 })),
  )
  for (const { code, stderr } of results) {
    assert.equal(stderr, 'Redis: ECONNREFUSED\n')
    assert.equal(code, 75)
  }
})

test('an interruption rolls back, and ends the command', async () => {
  await redis('HSET', KEY, 'backend', 'store1')
  const file = join(site.scene.directory, 'pid')
  const program = startMove(ALICE, 'store2', '--run', `[ $MAILMUX_PASS = 1 ] || { echo $$ > ${file}; sleep 1000; }`)
  const pid = await until(
    START_DEADLINE_MS,
    async () => Number(await readFile(file, 'utf8').catch(() => '')) || undefined,
    () => 'the final pass does not begin',
  )
  program.signal('SIGINT')
  assert.deepEqual(await program.exited, { code: 75, signal: null })
  assert.match(program.stderr(), /not moved: final: interrupted; the user stays on store1/)
  assert.equal(await redis('HGETALL', KEY), 'backend\nstore1')
  assert.throws(() => process.kill(pid, 0), 'the command still runs')
})

test('a killed move leaves a hold that expires to the old store', async () => {
  await redis('HSET', KEY, 'backend', 'store1')
  const program = startMove(ALICE, 'store2', '--run', '[ $MAILMUX_PASS = 1 ] || exec sleep 30')
  await program.waitForLine((line) => line.startsWith('end '), START_DEADLINE_MS, 'the end of the sessions')
  program.signal('SIGKILL')
  await program.exited
  const [token, till] = (await redis('HGET', KEY, 'hold')).split(' ')
  const now = Number((await redis('TIME')).split('\n')[0])
  assert.ok(Number(till) > now && Number(till) <= now + 60, till ?? '')
  // As if the time had passed: the rest of it is what a login would wait for.
  await redis('HSET', KEY, 'hold', `${token} ${now - 1}`)
  assert.equal(await storeOf(), 'store1')
  assert.equal((await move(ALICE, 'store2')).code, 0)
  assert.equal(await storeOf(), 'store2')
})

test('waits until a back end has no session', async () => {
  await redis('HSET', KEY, 'backend', 'store1')
  const client = await logIn('imap')
  const args = [...NODE_OPTIONS, MAIN, 'wait', 'store1', '--empty', '-c', site.mailmux.configFile]
  const late = await run(NODE, [...args, '--timeout', '1s'], { ms: 60_000 })
  assert.equal(late.code, 1, late.stderr)
  const program = startProgram(site.scene, { name: 'wait', command: NODE, args })
  await program.waitForLine((line) => line === '1 session', START_DEADLINE_MS, 'the number of sessions')
  await client.quit()
  assert.deepEqual(await program.exited, { code: 0, signal: null })
  assert.match(program.stdout(), /^no session is left$/m)
})
