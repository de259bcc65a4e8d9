/** Upgrades of a running mailmux: what clients and operators see of them, and of new versions that fail. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { chmod, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { instancesAnswer, sessionsAnswer } from '../../src/admin/answers.ts'
import { NODE_OF_COMMAND, MAIN } from '../support/command.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { type Generations, watchGenerations } from '../support/generations.ts'
import { isRunning, listProcesses, waitUntilEnded } from '../support/process-tree.ts'
import { lacks } from '../support/runtime.ts'
import { PASSWORD, type Site, startSite } from '../support/site.ts'

if (lacks('passingPorts')) process.exit(0)

const ALICE = 'alice@example.test'
const BOB = 'bob@example.test'

let site: Site
let generations: Generations
async function start(workers: number): Promise<void> {
  site = await startSite({
    mailmux: { settings: { workers }, adminToken: 'open', limits: { spread_disconnects: '1s', shutdown_grace: '60s' } },
  })
  generations = watchGenerations(site.scene, site.mailmux)
}
afterEach(() => site.close())

async function ask(path: string): Promise<unknown> {
  const response = await fetch(`http://127.0.0.1:${site.mailmux.ports.admin}/api/v1/${path}`, {
    headers: { authorization: 'Bearer open' },
  })
  return response.json()
}
const listed = async () => sessionsAnswer.parse(await ask('sessions'))

/** Logs in and out, so that the newest generation has served a client. */
async function visit(): Promise<void> {
  const client = await site.open('imap', 'clear')
  assert.ok((await client.login(BOB, PASSWORD)).accepted)
  await client.quit()
}

for (const workers of [1, 2]) {
  test(`hands the ports to the new version, and every session ends at a safe point, with ${workers} of workers`, async () => {
    await start(workers)
    const busy = await site.open('imap', 'clear')
    assert.ok((await busy.login(ALICE, PASSWORD)).accepted)
    busy.peer.send('a1 APPEND INBOX {20}')
    await busy.peer.expect(/^\+ /)
    const early = await site.open('pop3', 'clear')
    const quiet = await site.open('imap', 'starttls')
    assert.ok((await quiet.login(BOB, PASSWORD)).accepted)

    const { code, stdout, stderr } = await generations.upgrade()
    assert.deepEqual([code, stderr], [0, ''])
    assert.match(stdout, new RegExp(`^mailmux \\S+ serves: generation 2, process ${generations.pid()}$`, 'm'))

    // A client that had no login yet logs in, and a command in progress is carried out. Both end afterwards.
    assert.ok((await early.login(BOB, PASSWORD)).accepted)
    busy.peer.send('Subject: across\r\n\r\n')
    await busy.peer.expectUntil(/^a1 OK/)
    await visit()

    const { instances } = instancesAnswer.parse(await ask('instances'))
    assert.deepEqual(instances.map(({ generation, self, state }) => [generation, self, state]).sort(), [
      [1, false, 'up'],
      [2, true, 'up'],
    ])
    const during = await listed()
    assert.deepEqual(during.instances?.map(({ generation }) => generation).sort(), [1, 2])
    assert.equal(await site.mailmux.metric('mailmux_generation'), 2)

    await busy.peer.expectUntil(/^\* BYE /)
    await busy.peer.expectClose()
    await quiet.peer.expectUntil(/^\* BYE /)
    await early.peer.expectClose()
    await generations.ended(1)
    await waitUntilEnded([String(site.mailmux.pid)])

    // The counters of the generation that has ended stay in the sums.
    const logins = [...(await site.mailmux.metrics()).matchAll(/^mailmux_logins_total\{.*"accepted".*\} (\d+)$/gm)]
    assert.equal(
      logins.reduce((sum, [, count]) => sum + Number(count), 0),
      4,
    )
    assert.equal(await site.mailmux.metric('mailmux_upgrades_total{outcome="success"}'), 1)
    assert.equal(await site.mailmux.metric('mailmux_generations_draining'), 0)
    await visit()
    await generations.stop()
  })
}

test('lists and ends the sessions of an older generation', async () => {
  await start(1)
  const client = await site.open('imap', 'clear')
  assert.ok((await client.login(ALICE, PASSWORD)).accepted)
  client.peer.send('a1 APPEND INBOX {20}')
  await client.peer.expect(/^\+ /)
  assert.equal((await generations.upgrade()).code, 0)
  const second = await generations.upgrade()
  assert.match(second.stdout, /generation 3/)
  const { sessions, instances } = await listed()
  assert.deepEqual(
    sessions.map(({ user }) => user),
    [ALICE],
  )
  const holder = instances?.find(({ total }) => total === 1)
  assert.equal(holder?.generation, 1)
  assert.equal(await site.mailmux.metric('mailmux_sessions{protocol="imap",backend="store1"}'), 1)
  assert.equal(await site.mailmux.metric('mailmux_generations_draining'), 2)
  const response = await fetch(`http://127.0.0.1:${site.mailmux.ports.admin}/api/v1/sessions?user=${ALICE}&now=true`, {
    method: 'DELETE',
    headers: { authorization: 'Bearer open' },
  })
  assert.equal(((await response.json()) as { ended: number }).ended, 1)
  await client.peer.expectClose()
  await generations.ended(2)
  await generations.stop()
})

test('SIGUSR2 upgrades, and TLS sessions are resumed by the new version', async () => {
  await start(1)
  let ticket: Buffer | undefined
  const connect = async (): Promise<boolean> => {
    const options = { ...site.tls, port: site.mailmux.ports.imaps, host: '127.0.0.1' }
    const socket = connectTls({ ...options, ...(ticket && { session: ticket }) })
    socket.on('session', (given) => (ticket = given))
    await once(socket, 'data')
    const isReused = socket.isSessionReused()
    socket.destroy()
    return isReused
  }
  await connect()
  site.mailmux.program.signal('SIGUSR2')
  await site.mailmux.waitForLog(
    ({ msg }) => msg === 'upgraded: the new version serves',
    'the upgrade',
    2 * START_DEADLINE_MS,
  )
  await generations.ended(1)
  assert.equal(await connect(), true)
  await generations.stop()
})

for (const workers of [1, 2])
  test(`a block of an operator outlives upgrades, with ${workers} of workers`, async () => {
    await start(workers)
    const blocked = await fetch(`http://127.0.0.1:${site.mailmux.ports.admin}/api/v1/blocks`, {
      method: 'POST',
      headers: { authorization: 'Bearer open', 'content-type': 'application/json' },
      body: JSON.stringify({ target: ALICE, by: 'test' }),
    })
    assert.equal(blocked.status, 200, await blocked.text())
    for (let upgrades = 0; upgrades < 2; upgrades++) {
      assert.equal((await generations.upgrade()).code, 0)
      const client = await site.open('imap', 'clear')
      assert.equal((await client.login(ALICE, PASSWORD)).accepted, false)
      client.peer.destroy()
      await visit()
    }
    const { blocks } = (await ask('blocks')) as { blocks: { target: string }[] }
    assert.deepEqual(
      blocks.map(({ target }) => target),
      [ALICE],
    )
    await generations.stop()
  })

/** An executable that answers the check as mailmux does, and then runs `script` in place of `mailmux run`. */
async function pretend(script: string): Promise<string> {
  const file = join(site.scene.directory, 'pretender')
  const real = [...NODE_OF_COMMAND, MAIN].join(' ')
  await writeFile(file, `#!/bin/sh\nif [ "$1" = handover-check ]; then exec ${real} "$@"; fi\n${script}\n`)
  await chmod(file, 0o755)
  return file
}

test('a new version that fails leaves the old one serving', async () => {
  await start(2)
  const client = await site.open('imap', 'clear')
  assert.ok((await client.login(ALICE, PASSWORD)).accepted)
  const fails = async (why: RegExp, ...options: string[]): Promise<void> => {
    const { code, stdout, stderr } = await generations.upgrade(...options)
    assert.deepEqual([code, stdout], [1, ''])
    assert.match(stderr, why)
    await visit()
    assert.deepEqual((await client.subjects()).length > 0, true)
  }
  await fails(/\/bin\/true is not mailmux, or a version that cannot take over/, '--program', '/bin/true')
  await fails(/\/nonexistent\/mailmux does not exist/, '--program', '/nonexistent/mailmux')
  await fails(/has ended before it served: exit code 3/, '--program', await pretend('exit 3'))
  await fails(/has ended before it served: SIGSEGV/, '--program', await pretend('kill -SEGV $$'))
  await fails(/does not report ready within 2 s/, '--program', await pretend('exec sleep 600'), '--timeout', '2s')
  const open = await pretend('exit 3')
  await chmod(open, 0o777)
  await fails(/pretender can be changed by other users/, '--program', open)

  // The new version does not take the configuration: an older one does not know a new key.
  const text = await readFile(site.mailmux.configFile, 'utf8')
  await writeFile(site.mailmux.configFile, `${text}a_key_of_the_future: 1\n`)
  await fails(/does not take the configuration: .*a_key_of_the_future/)
  await writeFile(site.mailmux.configFile, text)

  assert.equal(generations.pid(), site.mailmux.pid)
  assert.equal(await site.mailmux.metric('mailmux_upgrades_total{outcome="failure"}'), 3)
  assert.equal(await site.mailmux.metric('mailmux_upgrades_total{outcome="success"}'), 0)
  await client.quit()
  // Nothing of the failed ones is left in the way of one that works.
  assert.equal((await generations.upgrade()).code, 0)
  await generations.stop()
})

for (const workers of [1, 2]) {
  test(`a kill of the old generation leaves the new one serving, with ${workers} of workers`, async () => {
    await start(workers)
    const client = await site.open('imap', 'clear')
    assert.ok((await client.login(ALICE, PASSWORD)).accepted)
    client.peer.send('a1 APPEND INBOX {20}')
    await client.peer.expect(/^\+ /)
    assert.equal((await generations.upgrade()).code, 0)
    process.kill(site.mailmux.pid, 'SIGKILL')
    await waitUntilEnded([String(site.mailmux.pid)])
    if (workers > 1) {
      // Its workers have sessions, and outlive it.
      client.peer.send('Subject: across\r\n\r\n')
      await client.peer.expectUntil(/^a1 OK/)
      await client.peer.expect(/^\* BYE /)
    }
    await client.peer.expectClose()
    await until(
      START_DEADLINE_MS,
      async () => (await site.mailmux.metric('mailmux_generations_draining')) === 0 || undefined,
      () => 'the old generation is still counted',
    )
    await visit()
    await until(
      START_DEADLINE_MS, // its client has seen the goodbye, and its session may still close
      async () => (await listed()).total === 0 || undefined,
      () => 'a session is left',
    )
    assert.ok(isRunning(String(generations.pid())))
    await generations.stop()
  })
}

test('workers outlive a supervisor that is killed, until their sessions have finished their commands', async () => {
  await start(2)
  const client = await site.open('imap', 'clear')
  assert.ok((await client.login(ALICE, PASSWORD)).accepted)
  client.peer.send('a1 APPEND INBOX {20}')
  await client.peer.expect(/^\+ /)
  const early = { imap: await site.open('imap', 'clear'), pop3: await site.open('pop3', 'clear') }
  const workers = listProcesses(site.mailmux.pid).filter((pid) => pid !== String(site.mailmux.pid))
  process.kill(site.mailmux.pid, 'SIGKILL')
  await waitUntilEnded([String(site.mailmux.pid)])
  await site.mailmux.waitForLog(({ msg }) => msg === 'the supervisor has gone', 'the workers note it')
  // Clients that had no login yet log in: the limits, which the supervisor counts, are not checked.
  assert.ok((await early.imap.login(BOB, PASSWORD)).accepted)
  assert.ok((await early.pop3.login(BOB, PASSWORD)).accepted)
  client.peer.send('Subject: across\r\n\r\n')
  await client.peer.expectUntil(/^a1 OK/)
  await client.peer.expect(/^\* BYE /)
  await client.peer.expectClose()
  await early.imap.peer.expectUntil(/^\* BYE /)
  await early.pop3.peer.expectClose()
  await waitUntilEnded(workers)
})
