/** `mailmux explain` of a running mailmux: its output for each kind of route, that it changes nothing, and the login on request. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import {
  backendsAnswer,
  loginAnswer,
  routeAnswer,
  type RouteAnswer,
  type LoginTestAnswer,
} from '../../src/admin/answers.ts'
import { MAIN } from '../support/command.ts'
import { READ_DEADLINE_MS, START_DEADLINE_MS, until, within } from '../support/deadline.ts'
import { freePort } from '../support/ports.ts'
import { run, type RunResult } from '../support/run.ts'
import { MAILMUX_RUNTIME } from '../support/runtime.ts'
import { PASSWORD, type Site, startSite, STORES } from '../support/site.ts'

const TOKEN = 'e2e-token.of/this+test=='
/** Looked for wherever it must not be. */
const WRONG_PASSWORD = 'wr0ng-Passw0rd-8213'

let site: Site
before(async () => {
  const users = { 'bob@example.test': { backend: 'store2', login: 'bob@example.test' } }
  site = await startSite({
    redis: true,
    mailmux: { adminToken: TOKEN, users, domains: { 'example.org': { backend: 'store3' } } },
  })
})
after(() => site.close())

function explain(args: string[], input?: string): Promise<RunResult> {
  const all = [MAIN, 'explain', '-c', site.mailmux.configFile, ...args]
  return run(MAILMUX_RUNTIME, all, { ms: 40_000, ...(input !== undefined && { input }) })
}

function ask(path: string, headers: Record<string, string> = { authorization: `Bearer ${TOKEN}` }): Promise<Response> {
  return fetch(`http://127.0.0.1:${site.mailmux.ports.admin}/api/v1${path}`, { headers })
}

/** The facts by the API, which must be those that are declared and no others. */
async function facts(user: string, query = ''): Promise<RouteAnswer> {
  const response = await ask(`/routes/${encodeURIComponent(user)}${query}`)
  const json: unknown = await response.json()
  const answer = routeAnswer.parse(json)
  assert.deepEqual(answer, json)
  return answer
}

async function testLogin(user: string, password: string, ...args: string[]) {
  const { code, stdout } = await explain([user, '--login', '--json', ...args], `${password}\n`)
  const answer = loginAnswer.parse(JSON.parse(stdout))
  return { code, ...answer } as { code: number | null; trial: LoginTestAnswer } & RouteAnswer
}

const steps = (answer: RouteAnswer) => answer.steps.map(({ asked, outcome }) => `${asked}: ${outcome}`)

async function logIn(user: string): Promise<void> {
  const client = await site.open('imap', 'starttls')
  assert.ok((await client.login(user, PASSWORD)).accepted)
  client.peer.destroy()
}

test('explains a user of the routing file', async () => {
  const answer = await facts('bob')
  assert.equal(answer.usable, true)
  assert.deepEqual(answer.name?.defaultDomain, { domain: 'example.test', by: 'listener' })
  assert.deepEqual(answer.route, { source: 'static', backend: 'store2', login: 'bob@example.test' })
  const [address] = answer.backend?.addresses ?? []
  assert.deepEqual([address?.ip, address?.port, address?.state], ['127.0.0.1', site.stores.store2.ports.imap, 'up'])
})

test('explains a route in Redis, and after a login the remembered one', async () => {
  const before = await facts('alice')
  assert.deepEqual(steps(before), ['users: nothing', 'memory: nothing', 'directory: found'])
  assert.equal(before.steps.at(-1)?.key, 'mailmux:user:alice@example.test')
  assert.equal(before.route?.source, 'directory')
  await logIn('alice')
  const after = await facts('alice')
  assert.deepEqual(steps(after), ['users: nothing', 'memory: found'])
  assert.deepEqual([after.usable, after.route?.source], [true, 'cache'])
  const { ageMs = -1, leftMs = 0 } = after.steps.at(-1) ?? {}
  assert.ok(ageMs >= 0 && ageMs < 60_000 && leftMs > 0)
})

test('explains a route of a whole domain, and a POP3 login', async () => {
  const answer = await facts('dora@example.org', '?protocol=pop3')
  assert.deepEqual([answer.usable, answer.route?.source, answer.route?.backend], [true, 'domain', 'store3'])
  assert.deepEqual(
    answer.backend?.addresses.map(({ port }) => port),
    [site.stores.store3.ports.pop3],
  )
  assert.equal(answer.login.listener, 'pop3-starttls')
})

test('explains an unknown user, and leaves no key and no count behind', async () => {
  const lookups = async () => (await site.mailmux.metrics()).match(/^mailmux_route_lookups_total.*$/gm)
  const before = await lookups()
  const answer = await facts('nobody')
  assert.deepEqual([answer.usable, answer.refusal?.reason], [false, 'authentication-failed'])
  assert.deepEqual(steps(await facts('nobody')).slice(0, 2), ['users: nothing', 'memory: nothing'])
  assert.deepEqual(await lookups(), before)
  assert.equal(await site.redis!.command('EXISTS', 'mailmux:user:nobody@example.test'), '0')
})

test('explains a user who is disabled or on hold', async () => {
  for (const [status, reason] of [
    ['disabled', 'disabled'],
    ['hold', 'unavailable'],
  ] as const) {
    const user = `${status}@example.test`
    await site.redis!.command('HSET', `mailmux:user:${user}`, 'backend', 'store1', 'status', status)
    const answer = await facts(user)
    assert.deepEqual([answer.usable, answer.refusal?.reason, answer.route], [false, reason, undefined])
  }
})

test('reports a poisoned route without obeying it, and counts no refused login', async () => {
  await site.redis!.command('HSET', 'mailmux:user:mallory@example.test', 'backend', '\u001b[2J\u009b31m evil')
  const lines = site.mailmux.log().length
  const { code, stdout } = await explain(['mallory'])
  assert.equal(code, 1)
  assert.match(stdout, /^NOT USABLE: misconfigured, route-invalid: /m)
  assert.doesNotMatch(Buffer.from(stdout, 'latin1').toString().replaceAll('\n', ''), /\p{Cc}/u)
  assert.equal(site.mailmux.log().length, lines)
})

/** Without times of day, which are computed anew for each answer and may differ by a millisecond. */
function withoutMoments({ backend, ...answer }: RouteAnswer): unknown {
  if (!backend) return answer
  const addresses = backend.addresses.map((address) => ({
    ...address,
    sinceMs: typeof address.sinceMs,
    nextCheckMs: typeof address.nextCheckMs,
  }))
  return { ...answer, backend: { ...backend, addresses } }
}

test('gives machines the facts of the API', async () => {
  for (const [user, code] of [
    ['bob', 0],
    ['nobody', 1],
  ] as const) {
    const { stdout, stderr, ...exit } = await explain([user, '--json', '--protocol', 'pop3', '--ip', '127.0.0.1'])
    assert.deepEqual([exit.code, stderr], [code, ''])
    assert.deepEqual(
      withoutMoments(routeAnswer.strict().parse(JSON.parse(stdout))),
      withoutMoments(await facts(user, '?protocol=pop3')),
    )
  }
})

test('prints a table for people', async () => {
  const { code, stdout, stderr } = await explain(['bob%x@example.test'])
  assert.deepEqual([code, stderr], [1, ''])
  assert.match(stdout, /^user +\(no user name\) {2}it has a character that no name may have$/m)
  const { stdout: text } = await explain(['bob'])
  for (const line of [
    /^login +bob {2}imap at listener imap-starttls \(tls: starttls\), address 127\.0\.0\.1$/m,
    /^user +bob@example\.test {2}default domain of the listener$/m,
    /^asked +routing file {2}bob@example\.test {2}store2, login bob@example\.test$/m,
    /^route +store2 {2}source: static, logs in as bob@example\.test$/m,
    /^limits +sessions \d+; logins under way \d+ of \d+; waiting 0 of \d+, for up to \d+s$/m,
    /^way there +in clear$/m,
    /^OK: a login goes to store2$/m,
  ])
    assert.match(text, line)
})

test('lists all back ends, to authorised requests only', async () => {
  const json: unknown = await (await ask('/backends')).json()
  const { backends } = backendsAnswer.parse(json)
  assert.deepEqual({ backends }, json)
  assert.deepEqual(
    backends.map(({ name, up, addresses }) => [name, up, addresses.length]),
    STORES.map((name) => [name, true, 2]),
  )
  for (const [headers, status] of [
    [{}, 401],
    [{ authorization: 'Bearer wrong' }, 401],
    [{ authorization: `Bearer ${TOKEN}`, 'sec-fetch-site': 'cross-site' }, 403],
  ] as const) {
    const response = await ask('/routes/alice', headers)
    assert.equal(response.status, status)
    assert.match(await response.text(), /^\{"error":"/)
  }
})

test('says what is wrong where mailmux gives no answer, with an exit code of its own', async () => {
  const file = join(site.scene.directory, 'other.yaml')
  const { admin } = site.mailmux.ports
  const explainWith = async (section: string, token = TOKEN, expected = 2) => {
    await writeFile(file, section)
    await writeFile(join(site.scene.directory, 'other.token'), token)
    const { code, stdout, stderr } = await run(MAILMUX_RUNTIME, [MAIN, 'explain', 'alice', '-c', file])
    assert.deepEqual([code, stdout], [expected, ''])
    return stderr
  }
  assert.match(await explainWith('log: {}'), /^mailmux explain: admin is off: .*other\.yaml has no `admin: \{\}`\n$/)
  assert.match(
    await explainWith(`admin: {listen: '127.0.0.1:${admin}', token_file: other.token}`, 'another'),
    /refuses to answer: the token is not the one of admin\.token_file/,
  )
  assert.match(await explainWith(`admin: {listen: '127.0.0.1:${admin}'}`), /refuses to answer: this needs the token/)
  const free = await freePort()
  assert.match(
    await explainWith(`admin: {listen: '127.0.0.1:${free}'}`, TOKEN, 69),
    new RegExp(
      `^mailmux explain: no mailmux answers at /run/mailmux/admin\\.sock or 127\\.0\\.0\\.1:${free}; start one with: mailmux run -c .*other\\.yaml\\n$`,
    ),
  )
  const redis = site.redis!.port
  assert.match(await explainWith(`admin: {listen: '127.0.0.1:${redis}'}`), /127\.0\.0\.1:\d+ does not answer/)

  for (const args of [
    [],
    ['a', 'b'],
    ['a', '--protocol', 'smtp'],
    ['a', '--listener', 'none'],
    ['a', '--ip', 'x'],
    ['a', '--nope'],
  ])
    assert.equal((await explain(args)).code, 2, args.join(' '))
  const help = await explain(['--help'])
  assert.equal(help.code, 0)
  assert.match(help.stdout, /Exit codes: 0 /)
})

test('logs a user in with the right password, by IMAP and by POP3, and reports the back end', async () => {
  for (const protocol of ['imap', 'pop3'] as const) {
    const { code, trial, route } = await testLogin('bob', PASSWORD, '--protocol', protocol)
    assert.deepEqual([code, trial.accepted, trial.backend, route?.source], [0, true, 'store2', 'static'])
    assert.deepEqual([trial.ip, trial.port], ['127.0.0.1', site.stores.store2.ports[protocol]])
    const { accepted } = await site.mailmux.waitForLog(
      ({ msg, session }) => msg === 'login tried' && session === trial.session,
      'the login that was tried',
    )
    assert.equal(accepted, true)
    const login = new RegExp(`${protocol}-login: Info: Login: user=<bob@example\\.test>`)
    await until(
      READ_DEADLINE_MS,
      () => login.test(site.stores.store2.log()) || undefined,
      () => 'the store does not tell of the login',
    )
  }
  // The session is over: it holds none of the places that `limits.sessions` counts.
  const answer = await facts('bob')
  assert.deepEqual([answer.backend?.load.sessions, answer.backend?.load.logins], [0, 0])
})

test('is refused with the wrong password, and says so in a line', async () => {
  const { code, stdout } = await explain(['bob', '--login'], `${WRONG_PASSWORD}\n`)
  assert.equal(code, 1)
  assert.match(stdout, /^OK: a login goes to store2$/m)
  assert.match(
    stdout,
    /^LOGIN REFUSED while replaying-login at store2: authentication-failed: .+ in the log as try-\w+\)$/m,
  )
})

test('takes no password that is not there, and asks for none without a route to ask', async () => {
  const { code, stderr } = await explain(['bob', '--login'], '')
  assert.equal(code, 2)
  assert.match(stderr, /no password on standard input/)
})

// What stands in the arguments or the environment of a process can be read by every user of the machine.
test('asks for the password at a terminal without showing it, and keeps it out of processes and logs', async (t) => {
  const words = [MAILMUX_RUNTIME, MAIN, 'explain', 'bob', '--login', '-c', site.mailmux.configFile]
  const terminal = spawn('script', ['-qec', words.join(' '), '/dev/null'], { stdio: 'pipe' })
  t.after(() => terminal.kill()) // its terminal goes with it, and explain with that
  const ended = once(terminal, 'close')
  let shown = ''
  terminal.stdout.setEncoding('utf8').on('data', (text: string) => (shown += text))
  await until(
    START_DEADLINE_MS,
    () => shown.includes('Password: ') || undefined,
    () => `no prompt: ${shown}`,
  )
  terminal.stdin.write(`${WRONG_PASSWORD}\r`)
  // While the refusal is held back (`limits.failure_delay`), all who have a part in it are there to be seen.
  const seen = everyProcess()
  await within(40_000, ended, () => `explain does not end: ${shown}`)
  assert.match(shown, /LOGIN REFUSED/)
  assert.equal(terminal.exitCode, 1)
  assert.ok(seen.includes('explain\0bob'), 'the command was not seen at all')
  for (const text of [shown, seen, site.mailmux.program.stdout(), site.mailmux.program.stderr()])
    assert.ok(!text.includes(WRONG_PASSWORD))
})

function everyProcess(): string {
  return globSync(['/proc/[0-9]*/cmdline', '/proc/[0-9]*/environ'])
    .map((file) => {
      try {
        return readFileSync(file, 'latin1')
      } catch {
        return '' // it has ended, or is another user's
      }
    })
    .join('\n')
}

test('reports a back end that is down, and which of its addresses', async () => {
  await site.stores.store3.stop()
  const { code, trial } = await testLogin('dora@example.org', PASSWORD)
  assert.deepEqual([code, trial.accepted, trial.phase, trial.code], [1, false, 'connecting', 'backend-refused'])
  const answer = await facts('dora@example.org')
  assert.deepEqual(
    [answer.usable, answer.refusal?.reason, answer.refusal?.code],
    [false, 'unavailable', 'backend-down'],
  )
  const [address] = answer.backend?.addresses ?? []
  assert.deepEqual([address?.state, address?.lastError], ['down', 'backend-refused'])
  assert.equal((await explain(['dora@example.org'])).code, 1)
})

test('reports the route that stands in while Redis is away, and users without one', async () => {
  await logIn('alice')
  await site.redis!.stop()
  const known = await until(
    READ_DEADLINE_MS,
    async () => {
      const found = await facts('alice')
      return found.route?.source === 'stale' ? found : undefined
    },
    () => 'mailmux does not see that Redis is away',
  )
  assert.deepEqual(steps(known), ['users: nothing', 'memory: outdated', 'directory: unavailable', 'memory: found'])
  assert.equal((await explain(['alice'])).code, 0)
  const answer = await facts('carol')
  assert.deepEqual(
    [answer.usable, answer.refusal?.reason, answer.refusal?.code],
    [false, 'unavailable', 'directory-unavailable'],
  )
  assert.equal((await facts('bob')).usable, true)
})
