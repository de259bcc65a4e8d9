/**
 * `mailmux move` that is killed, whose command fails, or whose Redis goes away, with a user in each step at that moment: each user is on
 * exactly one store, a hold that is left behind expires to the old store, and a second run moves those who have stayed.
 */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { MAIN, NODE_OF_COMMAND } from '../support/command.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { type MailClient } from '../support/mail-client.ts'
import { type Program, startProgram } from '../support/processes.ts'
import { type GateFault, type RedisGate, startRedisGate } from '../support/redis-gate.ts'
import { instancesListed, PASSWORD, type Site, startSite } from '../support/site.ts'

const [NODE = '', ...NODE_OPTIONS] = NODE_OF_COMMAND

/** Each user is stopped in the step of that name. `late`: Redis has carried the request out, and the answer is lost. */
const STOPPED = ['check', 'copy', 'hold', 'hold-late', 'end', 'final', 'switch', 'switch-late', 'release'] as const
/** moved by a command of its own, as the time of `--settle` is the same for all users of one */
const SETTLING = 'settle'
const NAMES = [...STOPPED, SETTLING]
const userOf = (name: string): string => `${name}@example.test`
const USERS = NAMES.map(userOf)

/** They are on hold when the move is killed. */
const HELD = ['hold-late', 'end', SETTLING, 'final', 'switch']
/** The switch was carried out before. */
const SWITCHED = ['switch-late', 'release']

/** Of a move on a busy machine, with all its steps. */
const MOVE_MS = 120_000
/** Between the end of the sessions and the last copy, so that a kill comes in between. */
const SETTLE = '10m'
/** Logins wait for so long at most: the rest of a hold whose end the test sets. */
const HOLD_SECONDS = 2

let site: Site
let gate: RedisGate
let configFile: string
let runs = 0

before(async () => {
  const users = Object.fromEntries(USERS.map((user) => [user, PASSWORD]))
  site = await startSite({ redis: 'durable', store: () => ({ users }), mailmux: { settings: { workers: 2 } } })
  await instancesListed(site.redis!)
  gate = await startRedisGate(site.scene, site.redis!.port)
  const settings = parse(await readFile(site.mailmux.configFile, 'utf8')) as { directory: { redis: { url: string } } }
  settings.directory.redis.url = `redis://127.0.0.1:${gate.port}`
  configFile = join(site.scene.directory, 'move.yaml')
  await writeFile(configFile, stringify(settings))
})
after(() => site.close())

/** One script for all users. */
const forAll = (script: string): Promise<string> =>
  site.redis!.command('EVAL', `for _, user in ipairs(ARGV) do ${script} end`, '0', ...USERS)

beforeEach(async () => {
  gate.judge = () => undefined
  await forAll(
    `redis.call('DEL', 'mailmux:user:' .. user); redis.call('HSET', 'mailmux:user:' .. user, 'backend', 'store1')`,
  )
})

const startMove = (...args: string[]): Program =>
  startProgram(site.scene, {
    name: 'move',
    command: NODE,
    args: [...NODE_OPTIONS, MAIN, 'move', ...args, '-c', configFile],
  })

async function move(...args: string[]): Promise<Program> {
  const program = startMove(...args)
  await until(
    MOVE_MS,
    () => program.exit(),
    () => `the move does not end: ${program.stdout()}${program.stderr()}`,
  )
  return program
}

/** What a script of a move does, by its text: src/directory/redis/move-store.ts. */
function nameOfScript(text: string): 'take' | 'switch' | 'release' | 'renew' | 'read' {
  if (text.includes("{'taken'}")) return 'take'
  if (text.includes("{'switched'}")) return 'switch'
  if (text.includes("'HDEL'")) return 'release'
  return text.includes("'HSET'") ? 'renew' : 'read'
}

type Stopped = {
  /** the journal of the bulk move */
  journal: string
  program: Program
  /** the words of the same command */
  args: string[]
  /** Lets all go on. */
  release: () => Promise<void>
}

/** Starts a bulk move, and waits until each user is in a step of its own. */
async function moveUntilStopped(): Promise<Stopped> {
  const at = (name: string): string => join(site.scene.directory, `${name}-${runs}`)
  runs++
  const journal = at('journal')
  const stopped = new Set<string>()
  let isOpen = false
  let reads = 0
  gate.judge = ([command = '', script = '', , key = '']) => {
    if (isOpen || command.toUpperCase() !== 'EVAL') return undefined
    const fault = judge(nameOfScript(script), key.slice('mailmux:user:'.length, -'@example.test'.length))
    return fault
  }
  function judge(request: ReturnType<typeof nameOfScript>, name: string): GateFault {
    // The command reads the route when it selects the user, and again in the step.
    if (request === 'read' && name === 'check' && reads++ === 0) return undefined
    const isStopped =
      (request === 'read' && (name === 'check' || (name === 'release' && stopped.has('switched')))) ||
      (request === 'take' && name.startsWith('hold')) ||
      (request === 'switch' && name.startsWith('switch'))
    if (request === 'switch' && name === 'release') stopped.add('switched')
    if (!isStopped) return undefined
    stopped.add(name)
    return name.endsWith('-late') ? 'lost-after' : 'lost-before'
  }
  const [user, pass, go] = ['"${MAILMUX_USER%@*}"', '"$MAILMUX_PASS"', at('go')]
  // Requests are repeated for 10 s: those that stop there begin together, when all others have stopped.
  const command = `
    touch ${at('in')}-${user}-${pass}
    case ${user}-${pass} in
      copy-1 | final-final) while [ ! -e ${go} ]; do sleep 0.1; done ;;
      hold*-1 | switch*-final | release-final) while [ ! -e ${at('requests')} -a ! -e ${go} ]; do sleep 0.1; done ;;
    esac`
  const client = await beginAppend()
  const args = ['--from', 'store1', '--to', 'store2', '--parallel', '20', '--journal', journal, '--run', command]
  const program = startMove(...args)
  const text = (): Promise<string> => readFile(journal, 'utf8').catch(() => '')
  const isIn = async (file: string): Promise<boolean> => readFile(at('in') + file).then(Boolean, () => false)
  const isEnding = async (): Promise<boolean> => (await text()).includes('"user":"end@example.test","step":"hold"')
  await until(
    MOVE_MS,
    async () => {
      const files = ['-copy-1', '-final-final', '-hold-1', '-hold-late-1', '-switch-final', '-switch-late-final']
      const isThere = await Promise.all([...files, '-release-final'].map(isIn))
      return (isThere.every(Boolean) && stopped.has('check') && (await isEnding())) || undefined
    },
    () => `not every user is in its step: ${program.stdout()}${program.stderr()}`,
  )
  await writeFile(at('requests'), '')
  await until(
    START_DEADLINE_MS,
    () =>
      STOPPED.filter((name) => !['copy', 'end', 'final'].includes(name)).every((name) => stopped.has(name)) ||
      undefined,
    () => `only ${[...stopped].join(', ')} are stopped: ${program.stdout()}${program.stderr()}`,
  )
  return {
    journal,
    program,
    args,
    async release() {
      isOpen = true
      await writeFile(go, '')
      client.peer.send('x'.repeat(100))
    },
  }
}

/** A session in a command, which ends when the command has. */
async function beginAppend(): Promise<MailClient> {
  const client = await site.open('imap', 'clear')
  assert.ok((await client.login(userOf('end'), PASSWORD)).accepted)
  await client.peer.ask('a APPEND INBOX {100}', /^\+/)
  return client
}

/** The store that a login of each user reaches, which may have to wait. */
async function reached(): Promise<Record<string, string>> {
  const stores = NAMES.map(async (name): Promise<[string, string]> => {
    const client = await site.open('imap', 'clear')
    const { accepted, answer } = await client.login(userOf(name), PASSWORD)
    assert.ok(accepted, `${name}: ${answer}`)
    const [subject = ''] = await client.subjects()
    await client.quit()
    return [name, /^You are on (\w+)/.exec(subject)?.[1] ?? subject]
  })
  return Object.fromEntries(await Promise.all(stores))
}

const fieldsOf = (name: string): Promise<string> => site.redis!.command('HGETALL', `mailmux:user:${userOf(name)}`)

/** The store that the directory names for each user, of whom it keeps nothing else. */
async function routes(): Promise<Record<string, string>> {
  const all = NAMES.map(async (name): Promise<[string, string]> => {
    const fields = await fieldsOf(name)
    assert.match(fields, /^backend\nstore[12]$/, name)
    return [name, fields.slice(-'store1'.length)]
  })
  return Object.fromEntries(await Promise.all(all))
}

const all = (store: string): Record<string, string> => Object.fromEntries(NAMES.map((name) => [name, store]))

test('a move that is killed in any step leaves each user on one store, and a second run moves the others', async () => {
  const settling = startMove(userOf(SETTLING), 'store2', '--settle', SETTLE)
  await settling.waitForLine((line) => line.startsWith('end '), MOVE_MS, 'the end of the sessions')
  const { program, args, release } = await moveUntilStopped()
  for (const killed of [program, settling]) {
    killed.signal('SIGKILL')
    assert.deepEqual(await killed.exited, { code: null, signal: 'SIGKILL' })
  }
  await release()
  const left = await Promise.all(
    NAMES.map(async (name): Promise<[string, string]> => {
      const [, backend = '', , status] = (await fieldsOf(name)).split('\n')
      return [name, status === undefined ? backend : `${status}, ${backend}`]
    }),
  )
  const expected = NAMES.map((name) => [
    name,
    HELD.includes(name) ? 'hold, store1' : SWITCHED.includes(name) ? 'store2' : 'store1',
  ])
  assert.deepEqual(left, expected)

  await forAll(`local hold = redis.call('HGET', 'mailmux:user:' .. user, 'hold')
    local till = tonumber(redis.call('TIME')[1]) + ${HOLD_SECONDS}
    if hold then redis.call('HSET', 'mailmux:user:' .. user, 'hold', hold:sub(1, 33) .. string.format('%d', till)) end`)
  const stores = Object.fromEntries(NAMES.map((name) => [name, SWITCHED.includes(name) ? 'store2' : 'store1']))
  assert.deepEqual(await reached(), stores)
  const again = await move(...args)
  assert.equal(again.exit()?.code, 0, again.stderr())
  assert.match(again.stdout(), new RegExp(`^moved ${NAMES.length - SWITCHED.length} of `))
  assert.deepEqual(await routes(), all('store2'))
  assert.deepEqual(await reached(), all('store2'))
})

test('a command that fails, is killed or hangs in a step keeps its user on the old store, and the step is reported', async () => {
  const go = join(site.scene.directory, 'go-commands')
  // The names of the users say nothing here: each has another failure.
  const failures: Record<string, string> = {
    'check-1': 'exit 3',
    'copy-1': 'kill -9 $$',
    'hold-final': 'echo no space >&2; exit 3',
    'end-final': 'kill -9 $$',
    'switch-1': `touch ${go}-1; sleep 1000`,
    'release-final': `touch ${go}-final; sleep 1000`,
  }
  const cases = Object.entries(failures).map(([when, what]) => `${when}) [ -e ${go} ] || { ${what}; } ;;`)
  const command = `case "\${MAILMUX_USER%@*}-$MAILMUX_PASS" in ${cases.join(' ')} esac`
  const args = ['--from', 'store1', '--to', 'store2', '--parallel', '20', '--run', command]
  const program = startMove(...args)
  const isThere = (file: string): Promise<boolean> => readFile(file).then(Boolean, () => false)
  await until(
    MOVE_MS,
    async () =>
      ((await isThere(`${go}-1`)) &&
        (await isThere(`${go}-final`)) &&
        program.stderr().split('\n').length > 4 &&
        (await fieldsOf('final')).includes('store2')) ||
      undefined,
    () => `the commands do not fail: ${program.stdout()}${program.stderr()}`,
  )
  program.signal('SIGINT')
  assert.deepEqual(await program.exited, { code: 75, signal: null })
  const reported = program.stderr().trimEnd().split('\n').sort()
  assert.deepEqual(reported, [
    'check@example.test: not moved: copy: the command failed with exit 3 in pass 1; the user stays on store1',
    'copy@example.test: not moved: copy: the command was ended by SIGKILL in pass 1; the user stays on store1',
    'end@example.test: not moved: final: the command was ended by SIGKILL in pass final; the user stays on store1',
    'hold@example.test: not moved: final: the command failed with exit 3 in pass final: no space; the user stays on store1',
    'release@example.test: not moved: final: interrupted; the user stays on store1',
    'switch@example.test: not moved: copy: interrupted; the user stays on store1',
  ])
  const stayed = ['check', 'copy', 'hold', 'end', 'switch', 'release']
  const stores = Object.fromEntries(NAMES.map((name) => [name, stayed.includes(name) ? 'store1' : 'store2']))
  assert.deepEqual(await routes(), stores)
  assert.deepEqual(await reached(), stores)
  await writeFile(go, '')
  const again = await move(...args)
  assert.equal(again.exit()?.code, 0, again.stderr())
  assert.match(again.stdout(), /^moved 6 of 6, 0 failed/)
  assert.deepEqual(await routes(), all('store2'))
})

/** Shorter than the 10 s in which a move repeats the requests of a step. */
const OUTAGE_MS = 3000

const OUTAGES: Record<string, () => Promise<() => Promise<void> | void>> = {
  'stands still': () => {
    site.redis!.pause()
    return Promise.resolve(() => site.redis!.resume())
  },
  'dies and comes back': async () => {
    await site.redis!.kill()
    return () => site.redis!.restart()
  },
}

for (const [what, begin] of Object.entries(OUTAGES))
  test(`a Redis that ${what} during each step leaves each user on the store that the move names`, async () => {
    const { journal, program, args, release } = await moveUntilStopped()
    const end = await begin()
    await release()
    await new Promise((resolve) => setTimeout(resolve, OUTAGE_MS))
    await end()
    await until(
      MOVE_MS,
      () => program.exit(),
      () => `the move does not end: ${program.stdout()}${program.stderr()}`,
    )
    const moved = new Set(
      Array.from((await readFile(journal, 'utf8')).matchAll(/"event":"moved","user":"([^"]+)"/g), ([, user]) => user),
    )
    const stores = Object.fromEntries(NAMES.map((name) => [name, moved.has(userOf(name)) ? 'store2' : 'store1']))
    assert.deepEqual(await routes(), stores, program.stderr())
    assert.deepEqual(await reached(), stores)
    if (moved.size < USERS.length) {
      const again = await move(...args)
      assert.equal(again.exit()?.code, 0, again.stderr())
      assert.deepEqual(await routes(), all('store2'))
    }
  })
