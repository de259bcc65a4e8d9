/** Much mail through one session: every byte of it, and no more of it in memory than the client asks for. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { setInterval } from 'node:timers/promises'
import { until } from '../support/deadline.ts'
import type { MailClient } from '../support/mail-client.ts'
import { run } from '../support/run.ts'
import { PASSWORD, type Site, startSite } from '../support/site.ts'

const MiB = 1024 * 1024
/** What the slow reader takes ten times a second. */
const SLICE = Math.floor(MiB / 10)
/** Bulk transfers on a busy two-core machine: far more than they need, and still an end. */
const BULK_DEADLINE_MS = 60_000

let site: Site
before(async () => {
  site = await startSite()
})
after(() => site.close())

/** A message of about so many bytes that compresses badly and survives every mail server: lines of base64. */
function message(subject: string, bytes: number): Buffer {
  const lines = randomBytes(Math.ceil((bytes / 78) * 57))
    .toString('base64')
    .match(/.{1,76}/g)!
  return Buffer.from(`Subject: ${subject}\r\n\r\n${lines.join('\r\n')}\r\n`)
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** Logs in by IMAP in TLS and selects INBOX. */
async function openInbox(user: string): Promise<MailClient> {
  const client = await site.open('imap', 'implicit')
  const { accepted, answer } = await client.login(user, PASSWORD)
  assert.ok(accepted, answer)
  client.peer.send('s SELECT INBOX')
  await client.peer.expectUntil(/^s OK/)
  return client
}

/** Fetches the last message and gives its text. */
async function fetchLast({ peer }: MailClient): Promise<Buffer> {
  peer.send('f FETCH * BODY.PEEK[]')
  const size = Number(/\{(\d+)\}$/.exec(await peer.expect(/^\* \d+ FETCH .*\{\d+\}$/))![1])
  const bytes = await peer.readBytes(size, BULK_DEADLINE_MS)
  await peer.expectUntil(/^f OK/)
  return bytes
}

test('carries 20 MiB up and down an IMAP session unchanged', async () => {
  const sent = message('20 MiB', 20 * MiB)
  const client = await openInbox('alice@example.test')
  await client.peer.ask(`a APPEND INBOX {${sent.length}}`, /^\+/)
  client.peer.sendRaw(sent)
  client.peer.sendRaw('\r\n')
  await client.peer.expectUntil(/^a OK/, BULK_DEADLINE_MS)
  client.peer.send('n NOOP')
  await client.peer.expectUntil(/^n OK/)
  assert.equal(sha256(await fetchLast(client)), sha256(sent))
  await client.quit()
})

test('carries 20 MiB down a POP3 session unchanged', async () => {
  const sent = message('20 MiB', 20 * MiB)
  await site.stores.store2.deliver('bob@example.test', sent)
  const { code, stdout, stderr } = await run(
    'curl',
    [
      ...['--silent', '--show-error', '--cacert', site.authority.caFile, '--user', `bob@example.test:${PASSWORD}`],
      `pop3s://127.0.0.1:${site.mailmux.ports.pop3s}/2`,
    ],
    { ms: BULK_DEADLINE_MS },
  )
  assert.equal(code, 0, stderr)
  assert.equal(sha256(Buffer.from(stdout, 'latin1')), sha256(sent))
})

test('holds no more memory for a client that reads slowly', async (t) => {
  await site.stores.store3.deliver('carol@example.test', message('20 MiB', 20 * MiB))
  const warmUp = await openInbox('carol@example.test')
  await fetchLast(warmUp)
  await warmUp.quit()
  const usual = await site.mailmux.memory()

  await site.stores.store3.deliver('carol@example.test', message('100 MiB', 100 * MiB))
  const { peer } = await openInbox('carol@example.test')
  peer.send('f FETCH * BODY.PEEK[]')
  await peer.expect(/^\* \d+ FETCH .*\{\d+\}$/)
  let most = 0
  let rounds = 0
  // 1 MiB a second, for twelve seconds: the pace is the test
  for await (const _ of setInterval(100)) {
    await peer.readBytes(SLICE)
    most = Math.max(most, await site.mailmux.memory())
    if (++rounds === 120) break
  }
  t.diagnostic(`${((most - usual) / MiB).toFixed(1)} MiB over the ${(usual / MiB).toFixed(1)} MiB before`)
  assert.ok(most - usual <= 16 * MiB, `${((most - usual) / MiB).toFixed(1)} MiB more than before`)

  peer.destroy()
  await until(
    5_000,
    async () => (await openSessions()) === 0 || undefined,
    () => 'the session outlives its client',
  )
})

/** How many sessions mailmux counts, over all protocols and back ends. */
async function openSessions(): Promise<number> {
  const values = (await site.mailmux.metrics()).matchAll(/^mailmux_sessions\{[^}]*\} (\d+)$/gm)
  return [...values].reduce((sum, [, value]) => sum + Number(value), 0)
}
