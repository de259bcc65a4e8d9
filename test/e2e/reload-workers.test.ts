/** A reload that changes `workers` between 1 and several, and the comparison before it. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { parse, stringify } from 'yaml'
import { MAIN } from '../support/command.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { watchGenerations } from '../support/generations.ts'
import type { YamlMap } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { run } from '../support/run.ts'
import { lacks, MAILMUX_RUNTIME } from '../support/runtime.ts'
import { PASSWORD, startSite } from '../support/site.ts'
import { startSteadyClients } from '../support/steady-clients.ts'

const ALICE = 'alice@example.test'
const DORA = 'dora@example.org'

async function start(workers: number) {
  const site = await startSite({
    mailmux: { adminToken: 'open-sesame-open-sesame', settings: { workers }, limits: { shutdown_grace: '5s' } },
  })
  const { configFile, routingFile } = site.mailmux
  async function change(file: string, edit: (settings: YamlMap) => void) {
    const settings = parse(await readFile(file, 'utf8')) as YamlMap
    edit(settings)
    await writeFile(file, stringify(settings))
  }
  const mailmux = (...words: string[]) =>
    run(MAILMUX_RUNTIME, [MAIN, ...words, '-c', configFile], { ms: 4 * START_DEADLINE_MS })
  await change(configFile, (settings) => {
    delete settings.settle
    settings.reload = 'signal'
  })
  const { code, stderr } = await mailmux('reload')
  assert.equal(code, 0, stderr)
  return {
    site,
    mailmux,
    changeMain: change.bind(undefined, configFile),
    changeRouting: change.bind(undefined, routingFile),
  }
}

if (lacks('passingPorts') === false)
  test('changes from one worker to several and back: no client is refused', async (t) => {
    const { site, mailmux, changeMain } = await start(1)
    watchGenerations(site.scene, site.mailmux)
    t.after(() => site.close())
    const clients = await startSteadyClients(() => site.open('imap', 'implicit'), {
      user: ALICE,
      password: PASSWORD,
      sessions: 0,
      loginsPerSecond: 10,
    })
    for (const [workers, text] of [
      [2, 'workers: 1 becomes 2'],
      [1, 'workers: 2 becomes 1'],
    ] as const) {
      await changeMain((settings) => (settings.workers = workers))
      const { code, stdout, stderr } = await mailmux('reload')
      assert.equal(code, 0, stderr)
      assert.ok(stdout.includes(`${text}: a new generation takes over`), stdout)
      const up = await site.mailmux.metric('mailmux_workers{state="up"}')
      assert.equal(up, workers)
    }
    const { refused, failed, errors, logins } = await clients.stop()
    assert.deepEqual({ refused, failed, errors }, { refused: 0, failed: 0, errors: [] })
    assert.ok(logins > 0)
  })

if (lacks('passingPorts') === false)
  for (const path of ['upgrade', 'reload'])
    test(`a reload that is ordered while a new generation starts is in force in it, after ${path}`, async (t) => {
      const { site, changeMain, changeRouting } = await start(2)
      watchGenerations(site.scene, site.mailmux)
      t.after(() => site.close())
      const readings = () => site.mailmux.log().filter(({ msg }) => msg === 'configuration').length
      const before = readings()
      if (path === 'reload') await changeMain((settings) => (settings.workers = 1))
      const ordered = fetch(`http://127.0.0.1:${site.mailmux.ports.admin}/api/v1/${path}`, {
        method: 'POST',
        headers: { authorization: 'Bearer open-sesame-open-sesame' },
      })
      await until(
        4 * START_DEADLINE_MS,
        () => readings() > before || undefined,
        () => 'the new generation does not read its files',
      )
      await changeRouting((routing) => (routing.users = { ...(routing.users as YamlMap), [DORA]: 'store3' }))
      site.mailmux.program.signal('SIGHUP')
      assert.equal((await ordered).status, 200)
      const logIn = async (): Promise<true | undefined> => {
        const client = await site.open('pop3', 'clear')
        const { accepted } = await client.login(DORA, PASSWORD)
        client.peer.destroy()
        return accepted || undefined
      }
      await until(START_DEADLINE_MS, logIn, () => 'the new generation has not read the new route')
    })

test('compares the files with what runs, and changes nothing', async (t) => {
  const { site, mailmux, changeMain, changeRouting } = await start(2)
  t.after(() => site.close())
  const same = await mailmux('check', '--diff')
  assert.deepEqual([same.code, same.stdout.split('\n').at(-2)], [0, 'a reload would change nothing'], same.stderr)

  const client = await site.open('pop3', 'clear')
  assert.ok((await client.login(ALICE, PASSWORD)).accepted)
  const port = await freePort()
  await changeMain((settings) => {
    const listeners = settings.listeners as YamlMap[]
    settings.listeners = [
      ...listeners.filter(({ name }) => name !== 'pop3-none'),
      { ...listeners[0], name: 'more', listen: [`127.0.0.1:${port}`] },
    ]
  })
  await changeRouting((routing) => {
    delete (routing.backends as YamlMap).store3
    routing.users = { [ALICE]: 'store1' }
  })
  const changed = await mailmux('check', '--diff')
  assert.equal(changed.code, 3, changed.stderr)
  assert.match(changed.stdout, /listener pop3-none: removed \(1 session there goes on\)/)
  assert.match(changed.stdout, new RegExp(`listener more: added, listens on 127\\.0\\.0\\.1:${port}`))
  assert.match(changed.stdout, /back end store3: removed \(1 user of the routing file in force has a route there;/)
  assert.equal((await client.subjects()).length, 1, 'nothing has changed')

  const running = `127.0.0.1:${site.mailmux.ports.admin}`
  await changeMain((settings) => ((settings.admin as YamlMap).listen = `127.0.0.1:${port + 1}`))
  const moved = await mailmux('check', '--diff')
  assert.equal(moved.code, 69) // nothing listens there
  assert.match(moved.stderr, /--admin .* names the address of the running mailmux/)
  const found = await mailmux('check', '--diff', '--admin', running)
  assert.equal(found.code, 3, found.stderr)
  assert.match(found.stdout, /admin: /)

  await changeMain((settings) => (settings.no_such_key = 1))
  assert.equal((await mailmux('check', '--diff')).code, 1)
})
