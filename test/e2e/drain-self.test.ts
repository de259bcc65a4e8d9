/** `mailmux drain --self` on the running program: health checks see it first, sessions end at safe points, and the process stays until it is stopped. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { drainAnswer } from '../../src/admin/drain-routes.ts'
import { MAIN } from '../support/command.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { isFree } from '../support/ports.ts'
import { run } from '../support/run.ts'
import { MAILMUX_RUNTIME } from '../support/runtime.ts'
import { PASSWORD, startSite, type Site } from '../support/site.ts'

const ALICE = 'alice@example.test'

async function start(t: TestContext, workers: number): Promise<Site> {
  const site = await startSite({
    mailmux: {
      settings: { workers },
      adminToken: 'open',
      limits: { spread_disconnects: '1s', shutdown_grace: '60s' },
    },
  })
  t.after(() => site.close())
  return site
}

for (const workers of [1, 2])
  test(`drains itself at safe points, with ${workers} of workers`, async (t) => {
    const site = await start(t, workers)
    const { ports, configFile } = site.mailmux
    const get = (path: string) =>
      fetch(`http://127.0.0.1:${ports.admin}${path}`, {
        headers: { authorization: 'Bearer open', connection: 'close' },
      })
    const status = async () => drainAnswer.parse(await (await get('/api/v1/drain')).json())
    const drain = (...options: string[]) =>
      run(MAILMUX_RUNTIME, [MAIN, 'drain', '-c', configFile, ...options], { ms: 2 * START_DEADLINE_MS })

    assert.equal((await drain()).code, 2)
    assert.equal((await status()).state, 'serving')
    const busy = await site.open('imap', 'clear')
    assert.ok((await busy.login(ALICE, PASSWORD)).accepted)
    busy.peer.send('a1 APPEND INBOX {20}')
    await busy.peer.expect(/^\+ /)

    // The health check fails while the ports are open.
    const { code, stdout, stderr } = await drain('--self', '--accept-for', '10m')
    assert.deepEqual([code, stdout, stderr], [0, 'draining: 1 session ends within 660 s\n', ''])
    const ready = await get('/readyz')
    assert.deepEqual([ready.status, await ready.text()], [503, 'draining\n'])
    assert.equal((await get('/livez')).status, 200)
    const late = await site.open('pop3', 'clear')
    assert.ok((await late.login('bob@example.test', PASSWORD)).accepted)
    await late.quit()
    assert.equal((await status()).state, 'accepting')

    // A stop waits for no load balancer: the ports close, and the command in progress is carried out.
    const waited = drain('--self', '--wait')
    const orders = () => site.mailmux.log().filter(({ msg }) => msg === 'drain requested by operator').length
    await until(
      START_DEADLINE_MS,
      () => orders() === 2 || undefined,
      () => 'the second order has not arrived',
    )
    site.mailmux.program.signal('SIGTERM')
    await until(
      START_DEADLINE_MS,
      async () => (await isFree(ports.imapClear)) || undefined,
      () => 'the port is still open',
    )
    busy.peer.send('Subject: across\r\n\r\n')
    await busy.peer.expectUntil(/^a1 OK/)
    await busy.peer.expectUntil(/^\* BYE /)
    assert.deepEqual((await waited).code, 0)
    assert.deepEqual(await site.mailmux.program.exited, { code: 0, signal: null })
  })

for (const workers of [1, 2])
  test(`ends with --wait once the last session has ended, and answers operators until it is stopped, with ${workers} of workers`, async (t) => {
    const site = await start(t, workers)
    const { ports, configFile } = site.mailmux
    const client = await site.open('imap', 'clear')
    assert.ok((await client.login(ALICE, PASSWORD)).accepted)
    const drained = run(MAILMUX_RUNTIME, [MAIN, 'drain', '-c', configFile, '--self', '--wait', '--accept-for', '0s'], {
      ms: 2 * START_DEADLINE_MS,
    })
    await client.peer.expectUntil(/^\* BYE /)
    const { code, stdout } = await drained
    assert.deepEqual([code, stdout], [0, 'drained: no session is left\n'])
    assert.ok(await isFree(ports.imap))
    const headers = { authorization: 'Bearer open', connection: 'close' }
    const refused = await fetch(`http://127.0.0.1:${ports.admin}/api/v1/upgrade`, { method: 'POST', headers })
    assert.deepEqual([refused.status, await refused.json()], [409, { error: 'mailmux takes no upgrade now: draining' }])
    if (workers === 1) assert.equal(await site.mailmux.metric('mailmux_sessions{protocol="imap",backend="store1"}'), 0)
    // The other instances of a site ask the same: a part that is missing would stop a move.
    const sessions = await fetch(`http://127.0.0.1:${ports.admin}/api/v1/sessions`, { headers })
    assert.equal(sessions.status, 200)
    assert.match(await sessions.text(), /"total":0/)
    const command = (...words: string[]) =>
      run(MAILMUX_RUNTIME, [MAIN, ...words, '-c', configFile], { ms: 2 * START_DEADLINE_MS })
    for (const words of [['sessions'], ['sessions', 'end', '--user', ALICE], ['block', 'eve@example.test']]) {
      const told = await command(...words)
      assert.deepEqual([told.code, told.stderr], [0, ''], words.join(' '))
    }
    // Neither a changed file nor SIGHUP opens the ports again.
    site.mailmux.program.signal('SIGHUP')
    await site.mailmux.stop()
  })
