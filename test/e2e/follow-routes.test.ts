/** Running sessions follow their user's route in Redis and the state of their back end, at every worker, and none is cut in a command. */
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { after, before, test } from 'node:test'
import { parse, stringify } from 'yaml'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { directoryConnected, PASSWORD, type Site, startSite } from '../support/site.ts'

let site: Site
before(async () => {
  site = await startSite({ redis: true, mailmux: { settings: { workers: 2 } } })
  await directoryConnected(site.mailmux)
})
after(() => site.close())

/** Three users, as Dovecot allows ten sessions of one user from one address. */
const USERS = { 'alice@example.test': 'store2', 'bob@example.test': 'store3', 'carol@example.test': 'store1' }
const NAMES = Object.keys(USERS)
const SIZE = 2000
/** The least window of a drain is 20 s, and each session ends at a moment of it. */
const DRAIN_MS = 60_000

async function openImap(user = '') {
  const client = await site.open('imap', 'starttls')
  assert.ok((await client.login(user, PASSWORD)).accepted)
  return client
}

test('idle sessions get BYE, an APPEND is finished first, and a POP3 session with deletions lasts until QUIT', async () => {
  const idle = await Promise.all(Array.from({ length: 20 }, (_, index) => openImap(NAMES[index % 3])))
  for (const { peer } of idle) {
    peer.send('s SELECT INBOX')
    await peer.expectUntil(/^s OK/)
    await peer.ask('i IDLE', /^\+/)
  }
  const busy = await Promise.all(Array.from({ length: 5 }, (_, index) => openImap(NAMES[index % 3])))
  for (const { peer } of busy) {
    await peer.ask(`a APPEND INBOX {${SIZE}}`, /^\+/)
    peer.sendRaw('Subject: half\r\n\r\n')
  }
  const pop3 = await site.open('pop3', 'starttls')
  assert.ok((await pop3.login('alice@example.test', PASSWORD)).accepted)
  await pop3.peer.ask('DELE 1', /^\+OK/)

  for (const [user, store] of Object.entries(USERS))
    await site.redis!.command('HSET', `mailmux:user:${user}`, 'backend', store)
  for (const { peer } of idle) {
    await peer.expectUntil(/^\* BYE \[UNAVAILABLE\] The mailbox has moved/)
    await peer.expectClose()
  }
  for (const { peer } of busy) {
    peer.send('x'.repeat(SIZE - 'Subject: half\r\n\r\n'.length))
    await peer.expectUntil(/^a OK/)
    await peer.expectUntil(/^\* BYE \[UNAVAILABLE\] The mailbox has moved/)
    await peer.expectClose()
  }
  await pop3.peer.ask('NOOP', /^\+OK/)
  await pop3.peer.ask('QUIT', /^\+OK/)
  await pop3.peer.expectClose()
})

test('a state in Redis takes effect at each worker, and an invalid one changes nothing', async () => {
  const { mailmux, redis } = site
  const setState = (state: string): Promise<unknown> => redis!.command('HSET', 'mailmux:backend:store1', 'state', state)
  const inState = (state: string): Promise<unknown> =>
    mailmux.waitForLog(
      (line) => line.msg === 'back end state' && line.backend === 'store1' && line.state === state,
      `state ${state}`,
    )
  await redis!.command('HSET', 'mailmux:user:carol@example.test', 'backend', 'store1')
  await setState('pause')
  await inState('pause')
  const waiting = await Promise.all(Array.from({ length: 8 }, () => site.open('imap', 'starttls')))
  const logins = waiting.map((client) => client.login('carol@example.test', PASSWORD))
  await until(
    START_DEADLINE_MS,
    async () =>
      (await mailmux.metric('mailmux_backend_logins_waiting{backend="store1"}')) === logins.length || undefined,
    () => 'not every login waits',
  )
  await setState('away')
  await mailmux.waitForLog(({ msg }) => msg === 'back end state refused', 'the refusal')
  assert.equal(await mailmux.metric('mailmux_backend_state{backend="store1",state="pause"}'), 1)
  await setState('up')
  for (const login of logins) assert.ok((await login).accepted)
  for (const { peer } of waiting) peer.destroy()
})

test('the sessions of a back end that is drained get BYE, and the others go on', async () => {
  const drained = await Promise.all([1, 2, 3].map(() => openImap('alice@example.test')))
  const other = await openImap('carol@example.test')
  const file = site.mailmux.routingFile
  const routing = parse(await readFile(file, 'utf8')) as { backends: Record<string, Record<string, unknown>> }
  Object.assign(routing.backends.store2 ?? {}, { state: 'drain' })
  await writeFile(file, stringify(routing))
  await Promise.all(
    drained.map(async ({ peer }) => {
      await peer.expectUntil(/^\* BYE \[UNAVAILABLE\]/, DRAIN_MS)
      await peer.expectClose()
    }),
  )
  await other.peer.ask('n NOOP', /^n OK/)
})
