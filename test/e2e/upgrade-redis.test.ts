/** An upgrade while clients log in by routes in Redis, and a reload right after it: no client is refused, and the reload is in force. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { test } from 'node:test'
import { setTimeout as pass } from 'node:timers/promises'
import { MAIN } from '../support/command.ts'
import { START_DEADLINE_MS } from '../support/deadline.ts'
import { watchGenerations } from '../support/generations.ts'
import { run } from '../support/run.ts'
import { lacks, MAILMUX_RUNTIME } from '../support/runtime.ts'
import { PASSWORD, startSite } from '../support/site.ts'

if (lacks('passingPorts')) process.exit(0)

const BOB = 'bob@example.test'
/** Clients that log in without a pause would leave the new generation no processor to start with. */
const LOGIN_EVERY_MS = 200

for (const workers of [1, 2])
  test(`clients log in by Redis during an upgrade and the reload after it, with ${workers} of workers`, async (t) => {
    const site = await startSite({
      redis: true,
      mailmux: {
        settings: { workers },
        adminToken: 'open',
        limits: { spread_disconnects: '1s', shutdown_grace: '60s' },
      },
    })
    t.after(() => site.close())
    const generations = watchGenerations(site.scene, site.mailmux)
    const { configFile } = site.mailmux
    const over = new AbortController()
    let logins = 0
    const clients = ['imap', 'pop3'].map(async (protocol) => {
      while (!over.signal.aborted) {
        const client = await site.open(protocol === 'imap' ? 'imap' : 'pop3', 'clear')
        const { accepted, answer } = await client.login(BOB, PASSWORD)
        assert.ok(accepted, answer)
        client.peer.destroy()
        logins++
        await pass(LOGIN_EVERY_MS)
      }
    })
    const all = Promise.all(clients)

    const order = async () => {
      const upgraded = await generations.upgrade()
      assert.equal(upgraded.code, 0, upgraded.stderr)
      const text = await readFile(configFile, 'utf8')
      await writeFile(configFile, text.replace(/^hostname: .*$/m, 'hostname: reloaded.example.test'))
      const reloaded = await run(MAILMUX_RUNTIME, [MAIN, 'reload', '-c', configFile], { ms: 4 * START_DEADLINE_MS })
      assert.equal(reloaded.code, 0, reloaded.stderr)
    }
    await Promise.race([order(), all]).finally(() => over.abort())
    await all
    assert.ok(logins > 0)
    const client = await site.open('imap', 'clear')
    assert.match(client.greeting, /reloaded\.example\.test/)
    client.peer.destroy()
    await generations.ended(1)
    await generations.stop()
  })
