/** Listeners that change under a running mailmux, with one worker and with several: sessions go on, and a port that cannot be bound changes nothing. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { after, before, describe, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { sessionsAnswer } from '../../src/admin/answers.ts'
import { MAIN } from '../support/command.ts'
import { markerSubject } from '../support/dovecot.ts'
import { type MailClient, type MailProtocol, openMailClient, type Security } from '../support/mail-client.ts'
import type { YamlMap } from '../support/mailmux.ts'
import { freePort, isFree } from '../support/ports.ts'
import { run } from '../support/run.ts'
import { MAILMUX_RUNTIME } from '../support/runtime.ts'
import { PASSWORD, type Site, startSite } from '../support/site.ts'
import { watchWorkers } from '../support/workers.ts'

const ALICE = 'alice@example.test'

for (const workers of [1, 2])
  describe(`with ${workers} ${workers === 1 ? 'worker' : 'workers'}`, () => {
    let site: Site
    let main: string

    before(async () => {
      site = await startSite({ mailmux: { adminToken: 'open-sesame-open-sesame', settings: { workers } } })
      main = (await readFile(site.mailmux.configFile, 'utf8')).replace(/^settle: .*$/m, 'reload: signal')
      await writeFile(site.mailmux.configFile, main)
      const { code, stderr } = await reload()
      assert.equal(code, 0, stderr)
    })
    after(() => site.close())

    const reload = () => run(MAILMUX_RUNTIME, [MAIN, 'reload', '-c', site.mailmux.configFile])

    /** Writes the listeners and reloads. */
    async function change(edit: (listeners: YamlMap[]) => void) {
      const changed = parse(main) as { listeners: YamlMap[] }
      edit(changed.listeners)
      await writeFile(site.mailmux.configFile, stringify(changed))
      return reload()
    }

    async function requireAlice(client: MailClient): Promise<void> {
      const { accepted, answer } = await client.login(ALICE, PASSWORD)
      assert.ok(accepted, answer)
      assert.deepEqual(await client.subjects(), [markerSubject('store1', ALICE)])
    }

    const openAt = (protocol: MailProtocol, port: number, security: Security) =>
      openMailClient(site.scene, protocol, port, security, site.tls)

    test('a listener is added, moved and removed, and running sessions go on', async () => {
      const running = await site.open('imap', 'implicit')
      await requireAlice(running)
      const [added, moved] = [await freePort(), await freePort()]
      const { code, stdout, stderr } = await change((listeners) => {
        const [imap, imaps] = listeners
        listeners.push({ ...imap!, name: 'another', listen: [`127.0.0.1:${added}`], banner: 'another listener' })
        imaps!.listen = [`127.0.0.1:${moved}`]
        listeners.splice(
          listeners.findIndex(({ name }) => name === 'pop3-implicit'),
          1,
        )
      })
      assert.equal(code, 0, stderr)
      assert.deepEqual(
        stdout.split('\n').filter((line) => line.includes('listener ')),
        [
          '  listener pop3-implicit: removed',
          `  listener imap-implicit: listens on 127.0.0.1:${moved} in place of 127.0.0.1:${site.mailmux.ports.imaps}`,
          `  listener another: added, listens on 127.0.0.1:${added}`,
        ],
      )
      // Each worker serves the new ports: two connections in a row may be accepted by the same one.
      for (let count = 0; count < 8; count++) {
        const client = await openAt('imap', added, 'starttls')
        assert.match(client.greeting, /another listener$/)
        await requireAlice(client)
        await client.quit()
        const other = await openAt('imap', moved, 'implicit')
        await requireAlice(other)
        await other.quit()
      }
      const { imaps, pop3s } = site.mailmux.ports
      assert.deepEqual([await isFree(imaps), await isFree(pop3s)], [true, true])
      assert.deepEqual(await running.subjects(), [markerSubject('store1', ALICE)])
      await running.quit()
      assert.equal((await change(() => undefined)).code, 0)
      for (const protocol of ['imap', 'pop3'] as const) {
        const client = await site.open(protocol, 'implicit') // where they were
        await requireAlice(client)
        await client.quit()
      }
      assert.ok((await isFree(added)) && (await isFree(moved)))
    })

    test('a port changes its protocol, its TLS mode and its name', async () => {
      const { code, stderr } = await change((listeners) => {
        const pop3 = listeners.find(({ name }) => name === 'pop3-starttls')!
        Object.assign(pop3, { name: 'was-pop3', protocol: 'imap', tls: 'implicit' })
      })
      assert.equal(code, 0, stderr)
      const client = await openAt('imap', site.mailmux.ports.pop3, 'implicit')
      await requireAlice(client)
      await client.quit()
      assert.equal((await change(() => undefined)).code, 0)
      const again = await site.open('pop3', 'starttls')
      await requireAlice(again)
      await again.quit()
    })

    test('with a port that is in use nothing changes, and the reason is shown', async () => {
      const [added, taken] = [await freePort(), await freePort()]
      const holder = createServer().listen(taken, '127.0.0.1')
      await once(holder, 'listening')
      try {
        const { code, stdout, stderr } = await change((listeners) => {
          const [imap, imaps] = listeners
          imap!.banner = 'not in force'
          listeners.push({ ...imap!, name: 'another', listen: [`127.0.0.1:${added}`] })
          imaps!.listen = [`127.0.0.1:${taken}`]
        })
        assert.deepEqual([code, stdout], [1, ''])
        assert.match(
          stderr,
          new RegExp(
            `^mailmux reload: listener imap-implicit: cannot listen on 127\\.0\\.0\\.1:${taken}: the port is in use by .*EADDRINUSE`,
          ),
        )
        assert.ok(await isFree(added))
        for (const security of ['starttls', 'implicit'] as const) {
          const client = await site.open('imap', security)
          assert.doesNotMatch(client.greeting, /not in force/)
          await requireAlice(client)
          await client.quit()
        }
        assert.equal(await site.mailmux.metric('mailmux_config_last_reload_successful'), 0)
      } finally {
        holder.close()
      }
      assert.equal((await change(() => undefined)).code, 0)
    })

    test('the admin HTTP moves to another port', async () => {
      const port = await freePort()
      const changed = parse(main) as { admin: YamlMap }
      changed.admin.listen = `127.0.0.1:${port}`
      await writeFile(site.mailmux.configFile, stringify(changed))
      const before = site.mailmux.log().length
      const takenOver = (count: number) =>
        site.mailmux.waitForLog(
          () =>
            site.mailmux
              .log()
              .slice(before)
              .filter(({ msg }) => msg === 'configuration taken over').length >= count,
          'the change taken over',
        )
      // The command would ask at the new port already.
      site.mailmux.program.signal('SIGHUP')
      await takenOver(1)
      assert.equal((await fetch(`http://127.0.0.1:${port}/readyz`)).status, 200)
      assert.ok(await isFree(site.mailmux.ports.admin))
      await writeFile(site.mailmux.configFile, main)
      site.mailmux.program.signal('SIGHUP')
      await takenOver(2)
      assert.ok(await isFree(port))
    })

    if (workers > 1)
      test('workers are added, and leave once their sessions have ended', async () => {
        const all = watchWorkers(site.mailmux, workers)
        const setWorkers = async (count: number) => {
          await writeFile(site.mailmux.configFile, main.replace(/^workers: .*$/m, `workers: ${count}`))
          const { code, stdout, stderr } = await reload()
          assert.equal(code, 0, stderr)
          assert.match(stdout, /workers: \d becomes \d/)
        }
        await setWorkers(3)
        assert.equal(await all.count('up'), 3)
        const clients: MailClient[] = []
        const onThird = async () => {
          const { stdout } = await run(MAILMUX_RUNTIME, [MAIN, 'sessions', '--json', '-c', site.mailmux.configFile])
          return sessionsAnswer.parse(JSON.parse(stdout)).sessions.filter(({ worker }) => worker === 3).length
        }
        while ((await onThird()) === 0) {
          assert.ok(clients.length < 100, 'the third worker accepts nothing')
          for (let count = 0; count < 5; count++) {
            const client = await site.open('imap', 'implicit')
            await requireAlice(client)
            clients.push(client)
          }
        }
        await setWorkers(2)
        const left = await onThird()
        assert.ok(left > 0, 'a session of the worker that leaves was ended')
        for (let count = 0; count < 8; count++) {
          const client = await site.open('imap', 'implicit')
          await requireAlice(client)
          clients.push(client)
        }
        assert.equal(await onThird(), left)
        for (const client of clients) {
          assert.deepEqual(await client.subjects(), [markerSubject('store1', ALICE)])
          await client.quit()
        }
        await site.mailmux.waitForLog(({ msg }) => msg === 'worker has left', 'the end of the third worker')
        await all.allServe()
      })

    if (workers > 1)
      test('a worker that is started again serves the ports of now', async () => {
        const added = await freePort()
        const { code, stderr } = await change((listeners) => {
          listeners.push({ ...listeners[0]!, name: 'another', listen: [`127.0.0.1:${added}`] })
        })
        assert.equal(code, 0, stderr)
        const all = watchWorkers(site.mailmux, workers)
        all.signal('SIGKILL', 1, 2)
        await site.mailmux.waitForLog(({ msg }) => msg === 'worker ended', 'the end of a worker')
        await all.allServe()
        const client = await openAt('imap', added, 'starttls')
        await requireAlice(client)
        await client.quit()
        assert.equal((await change(() => undefined)).code, 0)
      })
  })
