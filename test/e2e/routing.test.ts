/** Each user arrives at the store that holds the mailbox: by either protocol, however the connection is secured, wherever the route is kept. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { markerSubject } from '../support/dovecot.ts'
import type { MailProtocol, Security } from '../support/mail-client.ts'
import { HOMES, PASSWORD, type Site, startSite, type StoreName, STORES } from '../support/site.ts'

const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']
const SECURITIES: Security[] = ['starttls', 'implicit', 'clear']

/** Logs in under `name` and requires the marker of `mailbox` on `store`. */
async function arrives(
  site: Site,
  { protocol, security = 'implicit', name, mailbox = name, store }: Arrival,
): Promise<void> {
  const client = await site.open(protocol, security)
  const { accepted, answer } = await client.login(name, PASSWORD)
  assert.ok(accepted, answer)
  assert.deepEqual(await client.subjects(), [markerSubject(store, mailbox)])
  await client.quit()
}

type Arrival = { protocol: MailProtocol; security?: Security; name: string; mailbox?: string; store: StoreName }

for (const directory of ['the routing file', 'Redis'] as const) {
  describe(`routes in ${directory}`, () => {
    let site: Site
    before(async () => {
      site = await startSite({ redis: directory === 'Redis' })
    })
    after(() => site.close())

    for (const protocol of PROTOCOLS) {
      for (const security of SECURITIES) {
        test(`take each user home by ${protocol} (${security})`, async () => {
          for (const [name, store] of Object.entries(HOMES)) await arrives(site, { protocol, security, name, store })
        })
      }

      test(`refuse an unknown user in the words of a wrong password by ${protocol}`, async () => {
        const stranger = await (await site.open(protocol, 'implicit')).login('nobody@example.test', PASSWORD)
        const mistaken = await (await site.open(protocol, 'implicit')).login('alice@example.test', 'wrong')
        assert.equal(stranger.accepted, false)
        assert.equal(stranger.answer, mistaken.answer)
      })

      test(`find a user who gives no domain by ${protocol}`, async () => {
        await arrives(site, { protocol, name: 'bob', mailbox: 'bob@example.test', store: 'store2' })
      })
    }

    test('take users home when many arrive at once', async () => {
      const arrivals = PROTOCOLS.flatMap((protocol) =>
        Object.entries(HOMES).map(([name, store]) => arrives(site, { protocol, name, store })),
      )
      await Promise.all(arrivals)
    })
  })
}

describe('the routing file', () => {
  let site: Site
  before(async () => {
    const users = { 'robert@example.test': { backend: 'store2', login: 'bob@example.test' }, ...HOMES }
    site = await startSite({ mailmux: { users, domains: { 'example.org': { backend: 'store3' } } } })
  })
  after(() => site.close())

  for (const protocol of PROTOCOLS) {
    test(`routes a whole domain by ${protocol}`, async () => {
      await arrives(site, { protocol, name: 'dora@example.org', store: 'store3' })
    })

    test(`gives a user another name on the store by ${protocol}`, async () => {
      await arrives(site, { protocol, name: 'robert@example.test', mailbox: 'bob@example.test', store: 'store2' })
    })

    test(`takes no notice of the case of a domain by ${protocol}`, async () => {
      await arrives(site, { protocol, name: 'alice@Example.TEST', mailbox: 'alice@example.test', store: 'store1' })
    })
  }
})

describe('Redis', () => {
  let site: Site
  before(async () => {
    site = await startSite({ redis: true, mailmux: { users: { 'bob@example.test': 'store3' } } })
  })
  after(() => site.close())

  test('changes where the next login goes, with one HSET', async () => {
    for (const store of [...STORES, ...STORES]) {
      await site.redis!.command('HSET', 'mailmux:user:alice@example.test', 'backend', store)
      for (const protocol of PROTOCOLS) await arrives(site, { protocol, name: 'alice@example.test', store })
    }
  })

  test('gives a user another name on the store', async () => {
    await site.redis!.command(
      'HSET',
      'mailmux:user:al@example.test',
      'backend',
      'store2',
      'login',
      'alice@example.test',
    )
    for (const protocol of PROTOCOLS) {
      await arrives(site, { protocol, name: 'al@example.test', mailbox: 'alice@example.test', store: 'store2' })
    }
  })

  test('refuses a user again whose route is removed', async () => {
    await site.redis!.command('HSET', 'mailmux:user:dora@example.org', 'backend', 'store1')
    await arrives(site, { protocol: 'imap', name: 'dora@example.org', store: 'store1' })
    await site.redis!.command('DEL', 'mailmux:user:dora@example.org')
    const { answer } = await (await site.open('imap', 'implicit')).login('dora@example.org', PASSWORD)
    assert.match(answer, /^NO \[AUTHENTICATIONFAILED\]/)
  })

  test('gives way to a route in the routing file', async () => {
    for (const protocol of PROTOCOLS) await arrives(site, { protocol, name: 'bob@example.test', store: 'store3' })
  })
})

for (const backendTls of ['starttls', 'implicit'] as const) {
  describe(`back ends that are reached in TLS (${backendTls})`, () => {
    let site: Site
    before(async () => {
      site = await startSite({ backendTls })
    })
    after(() => site.close())

    for (const protocol of PROTOCOLS) {
      test(`see no password in clear by ${protocol}`, async () => {
        await arrives(site, { protocol, name: 'alice@example.test', store: 'store1' })
        const logins = site.stores.store1.log().match(/^.*-login: Info: Login: .*$/gm) ?? []
        assert.ok(logins.length > 0)
        for (const login of logins) assert.match(login, /, TLS,/)
      })
    }
  })
}
