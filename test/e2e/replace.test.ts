/** `mailmux run --replace` where sockets are not inherited: the running mailmux releases its ports, keeps its sessions, and takes its ports again if the other one fails. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as pass } from 'node:timers/promises'
import { MAIN } from '../support/command.ts'
import { START_DEADLINE_MS } from '../support/deadline.ts'
import { freePort } from '../support/ports.ts'
import { startProgram, type Program } from '../support/processes.ts'
import { MAILMUX_RUNTIME } from '../support/runtime.ts'
import { PASSWORD, type Site, startSite } from '../support/site.ts'

const ALICE = 'alice@example.test'
const BOB = 'bob@example.test'

function replace(site: Site, configFile = site.mailmux.configFile): Program {
  const args = [MAIN, 'run', '--replace', '-c', configFile]
  return startProgram(site.scene, { name: 'the other mailmux', command: MAILMUX_RUNTIME, args })
}

const startWith = (workers: number) =>
  startSite({
    mailmux: { settings: { workers }, adminToken: 'open', limits: { spread_disconnects: '1s', shutdown_grace: '60s' } },
  })

async function visit(site: Site): Promise<void> {
  const client = await site.open('pop3', 'clear')
  assert.ok((await client.login(BOB, PASSWORD)).accepted)
  await client.quit()
}

/** Connects without a pause until it is stopped. @returns the longest time without a connection */
function watchPort(port: number): () => Promise<number> {
  const stopping = new AbortController()
  let lastMs = performance.now()
  let longestMs = 0
  const attempt = (): Promise<boolean> =>
    new Promise((resolve) => {
      const socket = connect({ port, host: '127.0.0.1' })
      socket.on('connect', () => resolve(true)).on('error', () => resolve(false))
      socket.on('connect', () => socket.destroy())
    })
  const watching = (async () => {
    while (!stopping.signal.aborted) {
      if (await attempt()) {
        longestMs = Math.max(longestMs, performance.now() - lastMs)
        lastMs = performance.now()
      }
      await pass(1)
    }
  })()
  return async () => {
    stopping.abort()
    await watching
    return longestMs
  }
}

for (const workers of [1, 2])
  test(`takes the ports of the running mailmux, whose sessions end at safe points, with ${workers} of workers`, async (t) => {
    const site = await startWith(workers)
    t.after(() => site.close())
    const busy = await site.open('imap', 'clear')
    assert.ok((await busy.login(ALICE, PASSWORD)).accepted)
    busy.peer.send('a1 APPEND INBOX {20}')
    await busy.peer.expect(/^\+ /)
    const early = await site.open('pop3', 'clear')
    const watched = watchPort(site.mailmux.ports.imapClear)

    const other = replace(site)
    const ready = (line: string): boolean => line.includes('"msg":"ready"')
    await other.waitForLine(ready, START_DEADLINE_MS * workers, 'its readiness')
    const longestMs = await watched()
    t.diagnostic(`no connection for ${longestMs.toFixed(0)} ms at most`)
    assert.ok(longestMs < START_DEADLINE_MS)
    await visit(site)
    assert.ok((await early.login(BOB, PASSWORD)).accepted)
    busy.peer.send('Subject: across\r\n\r\n')
    await busy.peer.expectUntil(/^a1 OK/)
    await busy.peer.expectUntil(/^\* BYE /)
    await early.peer.expectClose()
    assert.deepEqual(await site.mailmux.program.exited, { code: 0, signal: null })
    await visit(site)
    assert.equal((await fetch(`http://127.0.0.1:${site.mailmux.ports.admin}/readyz`)).status, 200)
    assert.deepEqual(await other.stop(), { code: 0, signal: null })
  })

test('the running mailmux takes its ports again if the other one cannot bind, or ends', async (t) => {
  const site = await startWith(2)
  t.after(() => site.close())
  const client = await site.open('imap', 'clear')
  assert.ok((await client.login(ALICE, PASSWORD)).accepted)
  const takenAgain = (count: number) =>
    site.mailmux.waitForLog(
      ({ msg }) => msg === 'ports taken again' && site.mailmux.log().filter((one) => one.msg === msg).length >= count,
      'the ports are taken again',
    )

  // The other one has one port more, which another program has.
  const holder = await import('node:net').then(({ createServer }) => createServer())
  const port = await freePort()
  await new Promise<void>((resolve) => holder.listen(port, '127.0.0.1', resolve))
  t.after(() => void holder.close())
  const text = await readFile(site.mailmux.configFile, 'utf8')
  const configFile = join(site.scene.directory, 'other.yaml')
  const more = `  - {name: more, protocol: imap, listen: ["127.0.0.1:${port}"], tls: starttls}\n`
  await writeFile(
    configFile,
    text.replace(/^listeners:\n/m, (line) => line + more),
  )
  const other = replace(site, configFile)
  assert.equal((await other.exited).code, 1)
  assert.match(other.stderr(), /listener more: cannot listen on .*: the port is in use/)
  await takenAgain(1)
  await visit(site)
  assert.ok((await client.subjects()).length > 0)
  assert.equal((await fetch(`http://127.0.0.1:${site.mailmux.ports.admin}/readyz`)).status, 200)

  // A client of the API that asks for the release and ends.
  const response = await fetch(`http://127.0.0.1:${site.mailmux.ports.admin}/api/v1/release`, {
    method: 'POST',
    headers: { authorization: 'Bearer open', connection: 'close' },
  })
  assert.equal(response.status, 200)
  await response.arrayBuffer()
  await takenAgain(2)
  await visit(site)
  await client.quit()
  await site.mailmux.stop()
})

test('starts as usual if no mailmux runs, and says what it lacks without a token', async (t) => {
  const site = await startWith(1)
  t.after(() => site.close())
  await site.mailmux.stop()
  const other = replace(site)
  await other.waitForLine((line) => line.includes('"msg":"ready"'), START_DEADLINE_MS, 'its readiness')
  await visit(site)
  const text = await readFile(site.mailmux.configFile, 'utf8')
  await writeFile(site.mailmux.configFile, text.replace(/^ +token_file: .*\n/m, ''))
  const without = replace(site)
  assert.equal((await without.exited).code, 1)
  assert.match(without.stderr(), /--replace: the configuration needs admin.token_file/)
})
