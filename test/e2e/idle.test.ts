/** Sessions that wait, sessions that hurry, and a thousand at once. */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { until } from '../support/deadline.ts'
import type { MailClient } from '../support/mail-client.ts'
import { HOMES, PASSWORD, type Site, startSite } from '../support/site.ts'

const NEW_MAIL = 'Subject: news\r\n\r\nbody\r\n'

let site: Site
before(async () => {
  site = await startSite()
})
after(() => site.close())

/** Logs in by IMAP, selects INBOX and goes into IDLE. */
async function openIdle(user: string): Promise<MailClient> {
  const client = await site.open('imap', 'clear')
  const { accepted, answer } = await client.login(user, PASSWORD)
  assert.ok(accepted, answer)
  client.peer.send('s SELECT INBOX')
  await client.peer.expectUntil(/^s OK/, CROWD_DEADLINE_MS)
  await client.peer.ask('i IDLE', /^\+/, CROWD_DEADLINE_MS)
  return client
}

/** A thousand Dovecot processes start on two cores, and all of them wake for one message. */
const CROWD_DEADLINE_MS = 60_000

async function sessionsBy(protocol: string): Promise<number> {
  const values = (await site.mailmux.metrics()).matchAll(
    new RegExp(`^mailmux_sessions\\{[^}]*protocol="${protocol}"[^}]*\\} (\\d+)$`, 'gm'),
  )
  return [...values].reduce((sum, [, value]) => sum + Number(value), 0)
}

test('IDLE sees new mail as it comes', async () => {
  const client = await openIdle('alice@example.test')
  await site.stores.store1.deliver('alice@example.test', NEW_MAIL)
  await client.peer.expectUntil('* 2 EXISTS')
  client.peer.send('DONE')
  await client.peer.expectUntil(/^i OK/)
  await client.quit()
})

test('IMAP commands sent together with LOGIN reach the back end, in order', async () => {
  const { peer } = await site.open('imap', 'implicit')
  peer.sendRaw(`a LOGIN bob@example.test ${PASSWORD}\r\nb SELECT INBOX\r\nc FETCH 1 (UID)\r\nd NOOP\r\ne LOGOUT\r\n`)
  const lines = await peer.expectUntil(/^e OK/)
  await peer.expectClose()
  assert.deepEqual(
    lines.map((line) => /^([a-e]) OK/.exec(line)?.[1]).filter((tag) => tag !== undefined),
    ['a', 'b', 'c', 'd', 'e'],
  )
  assert.ok(lines.includes('* 1 FETCH (UID 1)'))
})

test('POP3 commands sent together with PASS reach the back end, in order', async () => {
  const { peer } = await site.open('pop3', 'implicit')
  peer.sendRaw(`USER bob@example.test\r\nPASS ${PASSWORD}\r\nSTAT\r\nNOOP\r\nQUIT\r\n`) // RFC 2449 6.6
  for (const answer of [/^\+OK/, /^\+OK/, /^\+OK 1 \d+/, /^\+OK/, /^\+OK/]) await peer.expect(answer)
  await peer.expectClose()
})

test('a LOGIN in literals, sent in pieces and followed at once by a command, is put together', async () => {
  const { peer } = await site.open('imap', 'implicit')
  await peer.ask('a LOGIN {18}', /^\+ /)
  peer.sendRaw('carol@exam')
  peer.sendRaw('ple.test {6}\r\n')
  await peer.expect(/^\+ /)
  peer.sendRaw('sec')
  peer.sendRaw('ret\r\nb NO')
  peer.sendRaw('OP\r\n')
  await peer.expectUntil(/^a OK/)
  await peer.expectUntil(/^b OK/)
  peer.destroy()
})

test('a thousand sessions wait at once, and each of them hears of new mail', async (t) => {
  const users = Object.keys(HOMES)
  const clients: MailClient[] = []
  const started = performance.now()
  while (clients.length < 1000) {
    const batch = Array.from({ length: 25 }, (_, index) => openIdle(users[(clients.length + index) % users.length]!))
    clients.push(...(await Promise.all(batch)))
  }
  const rss = (await site.mailmux.memory()) / 1024 / 1024
  t.diagnostic(`1000 logins in ${Math.round(performance.now() - started)} ms, mailmux holds ${rss.toFixed(0)} MiB`)
  assert.equal(await sessionsBy('imap'), 1000)

  for (const [user, store] of Object.entries(HOMES)) await site.stores[store].deliver(user, NEW_MAIL)
  await Promise.all(clients.map(({ peer }) => peer.expectUntil(/^\* \d+ EXISTS/, CROWD_DEADLINE_MS)))

  for (const { peer } of clients) peer.destroy()
  await until(
    CROWD_DEADLINE_MS,
    async () => (await sessionsBy('imap')) === 0 || undefined,
    () => 'sessions outlive their clients',
  )
})
