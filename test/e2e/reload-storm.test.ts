/** Many reloads in a row, every second one of a broken file, while clients work: no client notices, nothing is left behind, and the last valid file is in force. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { test, type TestContext } from 'node:test'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { isFree } from '../support/ports.ts'
import { listProcesses } from '../support/process-tree.ts'
import { blow, createStorm } from '../support/reload-storm.ts'
import { PASSWORD, startSite } from '../support/site.ts'
import { startSteadyClients } from '../support/steady-clients.ts'

/** 100 in 10 s. */
const RELOADS = 100
const EVERY_MS = 100

for (const workers of [1, 2])
  test(`100 reloads in 10 s with ${workers} ${workers === 1 ? 'worker' : 'workers'}`, async (t: TestContext) => {
    const site = await startSite({ mailmux: { settings: { workers } } })
    t.after(() => site.close())
    const { mailmux } = site
    const main = (await readFile(mailmux.configFile, 'utf8')).replace(/^settle: .*$/m, 'reload: signal')
    const greeting = async (): Promise<string> => {
      const client = await site.open('imap', 'starttls')
      client.peer.destroy()
      return client.greeting
    }
    const untilBanner = (banner: string) =>
      until(
        START_DEADLINE_MS * 2,
        async () => (await greeting()).endsWith(banner) || undefined,
        () => `the file with the banner "${banner}" is not in force`,
      )
    const processes = (): string[] => listProcesses(mailmux.pid)
    const descriptors = (): number => processes().reduce((sum, pid) => sum + readdirSync(`/proc/${pid}/fd`).length, 0)

    await writeFile(mailmux.configFile, main)
    const storm = await createStorm(mailmux, main, () => mailmux.program.signal('SIGHUP'))
    await storm.end('before')
    await untilBanner('before')
    /** A process that reads the files may still be ending. */
    const calm = () =>
      until(
        START_DEADLINE_MS,
        () => processes().length === (workers === 1 ? 1 : 1 + workers) || undefined,
        () => `these processes run: ${processes().join(' ')}`,
      )
    await calm()
    const open = descriptors()
    const pids = processes()

    const clients = await startSteadyClients(() => site.open('imap', 'implicit'), {
      user: 'alice@example.test',
      password: PASSWORD,
      sessions: 10,
      loginsPerSecond: 5,
    })
    await blow(storm, RELOADS, EVERY_MS)
    await storm.end('after')
    await untilBanner('after')
    const tally = await clients.stop()
    assert.deepEqual(
      { ...tally, connections: 0, logins: 0, commands: 0 },
      { connections: 0, refused: 0, logins: 0, failed: 0, commands: 0, cut: 0, errors: [] },
    )
    assert.ok(tally.commands > 100 && tally.logins > 20, JSON.stringify(tally))

    await calm()
    assert.deepEqual(processes(), pids, 'a process was replaced')
    assert.ok(await isFree(storm.port), 'the port of a removed listener is still open')
    // Sessions that have just ended give their descriptors back in a moment.
    await until(
      START_DEADLINE_MS,
      () => descriptors() <= open || undefined,
      () => `${descriptors()} descriptors are open after the storm, and ${open} before`,
    )
    assert.equal(await mailmux.metric('mailmux_config_last_reload_successful'), 1)
    const outcomes = mailmux.log().map(({ msg }) => msg)
    assert.ok(outcomes.includes('configuration not taken over') && outcomes.includes('configuration taken over'))
  })
