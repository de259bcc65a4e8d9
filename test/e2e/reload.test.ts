/** A configuration that changes under a running mailmux: the next client sees the new one, the running sessions keep theirs. */
import assert from 'node:assert/strict'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { after, before, beforeEach, describe, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { MAIN } from '../support/command.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { markerSubject } from '../support/dovecot.ts'
import type { MailClient, MailProtocol } from '../support/mail-client.ts'
import type { LogLine, YamlMap } from '../support/mailmux.ts'
import { run } from '../support/run.ts'
import { MAILMUX_RUNTIME } from '../support/runtime.ts'
import { PASSWORD, type Site, startSite } from '../support/site.ts'

const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']
const ALICE = 'alice@example.test'

let site: Site
let routing: string
let main: string
/** how much of the log belongs to earlier tests */
let read: number

before(async () => {
  site = await startSite({ mailmux: { adminToken: 'open-sesame-open-sesame' } })
  routing = await readFile(site.mailmux.routingFile, 'utf8')
  main = await readFile(site.mailmux.configFile, 'utf8')
})
after(() => site.close())

/** Each test begins with the files as they were at the start. */
beforeEach(async () => {
  read = site.mailmux.log().length
  for (const [file, text] of [
    [site.mailmux.routingFile, routing],
    [site.mailmux.configFile, main],
  ] as const) {
    if ((await readFile(file, 'utf8')) === text) continue
    await writeFile(file, text)
    await nextLine((line) => line.msg === 'configuration taken over', 'the restored configuration')
    read = site.mailmux.log().length
  }
})

/** Waits for a log line of this test. */
function nextLine(wanted: (line: LogLine) => boolean, what: string): Promise<LogLine> {
  return until(
    START_DEADLINE_MS,
    () => site.mailmux.log().slice(read).find(wanted),
    () => `no log line: ${what}\n${site.mailmux.program.stdout().slice(-3000)}`,
  )
}

const takenOver = () => nextLine((line) => line.msg === 'configuration taken over', 'the change taken over')
const refused = () => nextLine((line) => line.msg === 'configuration not taken over', 'the mistake')

/** The routing file with another home for alice. */
function aliceAt(store: string): string {
  const changed = parse(routing) as { users: YamlMap }
  changed.users[ALICE] = store
  return stringify(changed)
}

async function replaceRouting(text: string): Promise<void> {
  await writeFile(`${site.mailmux.routingFile}.new`, text)
  await rename(`${site.mailmux.routingFile}.new`, site.mailmux.routingFile)
}

async function logIn(protocol: MailProtocol): Promise<MailClient> {
  const client = await site.open(protocol, 'implicit')
  const { accepted, answer } = await client.login(ALICE, PASSWORD)
  assert.ok(accepted, answer)
  return client
}

async function requireAliceAt(store: string, client: MailClient): Promise<void> {
  assert.deepEqual(await client.subjects(), [markerSubject(store, ALICE)])
  await client.quit()
}

/** How often a reload has ended so. */
async function counted(outcome: 'success' | 'failure'): Promise<number> {
  return (await site.mailmux.metric(`mailmux_config_reloads_total{outcome="${outcome}"}`)) ?? 0
}

describe('a routing file', () => {
  for (const [how, write] of [
    ['that is written in place', (text: string) => writeFile(site.mailmux.routingFile, text)],
    ['that is replaced by another', replaceRouting],
  ] as const)
    test(`${how} counts for the next login, and ends the running sessions on the old store`, async () => {
      const running = await Promise.all(PROTOCOLS.map(logIn))
      const waiting = await site.open('imap', 'implicit') // connected, and born with the old routes
      const successes = await counted('success')
      await write(aliceAt('store2'))
      await takenOver()
      assert.equal(await counted('success'), successes + 1)
      for (const protocol of PROTOCOLS) await requireAliceAt('store2', await logIn(protocol))
      for (const { peer } of running) await peer.readToEnd()
      waiting.peer.destroy()
    })

  test('that loses the store of a running session ends it where its user has another store', async () => {
    const running = await logIn('imap')
    const changed = parse(aliceAt('store2')) as { backends: YamlMap }
    delete changed.backends.store1
    await replaceRouting(stringify(changed))
    await takenOver()
    await requireAliceAt('store2', await logIn('imap'))
    await running.peer.readToEnd()
  })

  test('that is written in place without a store is held back until SIGHUP, and `explain` says so', async () => {
    const changed = parse(aliceAt('store2')) as { backends: YamlMap }
    delete changed.backends.store1
    await writeFile(site.mailmux.routingFile, stringify(changed))
    const line = await nextLine(({ msg }) => msg === 'configuration held back', 'what is held back')
    assert.deepEqual(line.backends, ['store1'])
    assert.equal(await site.mailmux.metric('mailmux_config_held_back'), 1)
    await requireAliceAt('store1', await logIn('imap'))
    const asked = await run(MAILMUX_RUNTIME, [MAIN, 'explain', ALICE, '-c', site.mailmux.configFile])
    assert.match(asked.stdout, /held back +\S+routing\.yaml: it lacks the back end store1 of the file in force; SIGHUP/)
    site.mailmux.program.signal('SIGHUP')
    await takenOver()
    assert.equal(await site.mailmux.metric('mailmux_config_held_back'), 0)
    await requireAliceAt('store2', await logIn('imap'))
  })
})

describe('a mistake', () => {
  test('in the routing file changes nothing, is logged with its line, and counted', async () => {
    const [failures, successes] = [await counted('failure'), await counted('success')]
    const running = await logIn('imap')
    const broken = `${aliceAt('store2')}no_such_key: 1\n`
    await writeFile(site.mailmux.routingFile, broken)
    const { level, problem } = await refused()
    assert.equal(level, 'error')
    const line = broken.trimEnd().split('\n').length
    assert.ok(String(problem).includes(`routing.yaml:${line}:1: `), String(problem))
    assert.match(String(problem), /no_such_key/)
    assert.deepEqual([await counted('failure'), await counted('success')], [failures + 1, successes])
    for (const protocol of PROTOCOLS) await requireAliceAt('store1', await logIn(protocol))
    await requireAliceAt('store1', running)
  })

  test('that is put right is taken over', async () => {
    await writeFile(site.mailmux.routingFile, 'backends: {')
    await refused()
    await writeFile(site.mailmux.routingFile, aliceAt('store3'))
    await takenOver()
    await requireAliceAt('store3', await logIn('imap'))
  })

  test('in the main file changes nothing either', async () => {
    const broken = main.replace(
      'hostname: mail.example.test',
      'hostname: mail.example.test\nlimits: {failure_delay: 3}',
    )
    await writeFile(site.mailmux.configFile, broken)
    const { problem } = await refused()
    assert.match(String(problem), /mailmux\.yaml:2:25: /)
    await requireAliceAt('store1', await logIn('imap'))
  })

  test('of a file that is gone changes nothing either', async () => {
    await rename(site.mailmux.routingFile, `${site.mailmux.routingFile}.away`)
    await refused()
    await requireAliceAt('store1', await logIn('pop3'))
    await rename(`${site.mailmux.routingFile}.away`, site.mailmux.routingFile)
    await takenOver()
    await requireAliceAt('store1', await logIn('pop3'))
  })
})

describe('SIGHUP', () => {
  test('reads the files again, changed or not, and ends no session', async () => {
    const running = await logIn('imap')
    const successes = await counted('success')
    site.mailmux.program.signal('SIGHUP')
    await takenOver()
    assert.equal(await counted('success'), successes + 1)
    await requireAliceAt('store1', running)
  })

  test('reports a mistake again at the next SIGHUP', async () => {
    await writeFile(site.mailmux.routingFile, 'backends: 1\n')
    await refused()
    read = site.mailmux.log().length
    const failures = await counted('failure')
    site.mailmux.program.signal('SIGHUP')
    await refused()
    assert.equal(await counted('failure'), failures + 1)
    await requireAliceAt('store1', await logIn('imap'))
  })
})

describe('mailmux reload', () => {
  const reload = () => run(MAILMUX_RUNTIME, [MAIN, 'reload', '-c', site.mailmux.configFile])

  test('returns when the change is in force, and shows it', async () => {
    // Otherwise the watch of the files may take the change over before the command does.
    await writeFile(site.mailmux.configFile, main.replace(/^settle: .*$/m, 'reload: signal'))
    await takenOver()
    await writeFile(site.mailmux.routingFile, aliceAt('store2'))
    const { code, stdout } = await reload()
    assert.equal(code, 0)
    assert.match(stdout, /\nreloaded: 1 change\n {2}users: 1 with another route\n$/)
    await requireAliceAt('store2', await logIn('imap'))
    assert.equal(await site.mailmux.metric('mailmux_config_last_reload_successful'), 1)
    await writeFile(site.mailmux.configFile, main)
    assert.match((await reload()).stdout, /reloaded: 1 change\n {2}reload: signal becomes auto\n$/)
  })

  test('ends with 1 and each error if nothing has changed, and `explain` shows the errors', async () => {
    await writeFile(site.mailmux.routingFile, `${aliceAt('store2')}no_such_key: 1\n`)
    const { code, stdout, stderr } = await reload()
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, /^mailmux reload: \S+routing\.yaml:\d+:1: error: .*\nmailmux reload: nothing has changed\n$/)
    assert.equal(await site.mailmux.metric('mailmux_config_last_reload_successful'), 0)
    await requireAliceAt('store1', await logIn('imap'))
    const asked = await run(MAILMUX_RUNTIME, [MAIN, 'explain', ALICE, '-c', site.mailmux.configFile])
    assert.match(asked.stdout, /not taken over +the files as they were read .* ago:\n +\S+routing\.yaml:\d+:1: error/)
  })
})

describe('the main file', () => {
  test('with another banner shows it to the next client', async () => {
    const changed = parse(main) as { listeners: YamlMap[] }
    changed.listeners[1]!.banner = 'changed while it ran'
    await writeFile(site.mailmux.configFile, stringify(changed))
    await takenOver()
    assert.equal(
      site.mailmux
        .log()
        .slice(read)
        .some(({ restart }) => restart !== undefined),
      false,
    )
    const client = await site.open('imap', 'implicit')
    assert.match(client.greeting, /changed while it ran$/)
    client.peer.destroy()
  })
})
