/** The replies to a mail client when a component fails, and the log lines for the operator. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import type { LeafOptions } from '../support/certificates.ts'
import { markerSubject } from '../support/dovecot.ts'
import type { MailProtocol } from '../support/mail-client.ts'
import { directoryConnected, PASSWORD, type Site, startSite } from '../support/site.ts'

const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']

// RFC 5530 3, RFC 3206 4: a client that reads AUTHENTICATIONFAILED or AUTH drops its password, so an outage must never say that
const COME_BACK_LATER = { imap: /^NO \[UNAVAILABLE\] /, pop3: /^-ERR \[SYS\/TEMP\] / }
const WRONG_PASSWORD = { imap: /^NO \[AUTHENTICATIONFAILED\] /, pop3: /^-ERR \[AUTH\] / }
const NOT_THE_PASSWORD = { imap: /^NO \[(CONTACTADMIN|SERVERBUG|UNAVAILABLE)\] /, pop3: /^-ERR \[SYS\/(PERM|TEMP)\] / }

/** Logs in on a connection of its own and gives the answer. */
async function answerTo(site: Site, protocol: MailProtocol, user: string, password = PASSWORD): Promise<string> {
  const client = await site.open(protocol, 'starttls')
  const { answer } = await client.login(user, password)
  client.peer.destroy()
  return answer
}

describe('a wrong password', () => {
  let site: Site
  before(async () => {
    site = await startSite()
  })
  after(() => site.close())

  for (const protocol of PROTOCOLS) {
    test(`leaves the client connected, and the right one then logs it in by ${protocol}`, async () => {
      const client = await site.open(protocol, 'starttls')
      const first = await client.login('alice@example.test', 'wrong')
      assert.match(first.answer, WRONG_PASSWORD[protocol])
      const second = await client.login('alice@example.test', PASSWORD)
      assert.ok(second.accepted, second.answer)
      assert.deepEqual(await client.subjects(), [markerSubject('store1', 'alice@example.test')])
      await client.quit()
    })

    test(`does not tie the connection to a store: another user then arrives at another by ${protocol}`, async () => {
      const client = await site.open(protocol, 'starttls')
      await client.login('alice@example.test', 'wrong')
      const { accepted, answer } = await client.login('carol@example.test', PASSWORD)
      assert.ok(accepted, answer)
      assert.deepEqual(await client.subjects(), [markerSubject('store3', 'carol@example.test')])
      await client.quit()
    })
  }

  test('never shows in the log, and neither does the right one', async () => {
    await answerTo(site, 'imap', 'alice@example.test', 'tell-tale-password')
    await answerTo(site, 'pop3', 'alice@example.test', 'tell-tale-password')
    await site.mailmux.stop()
    const output = site.mailmux.program.stdout() + site.mailmux.program.stderr()
    assert.ok(output.includes('alice@example.test'))
    assert.ok(!output.includes('tell-tale-password'))
    assert.ok(!output.includes(Buffer.from('tell-tale-password').toString('base64').slice(2, -4)))
  })
})

describe('a store that is down', () => {
  let site: Site
  before(async () => {
    site = await startSite()
    await site.stores.store1.stop()
  })
  after(() => site.close())

  for (const protocol of PROTOCOLS) {
    test(`makes its users come back later, and only them, by ${protocol}`, async () => {
      assert.match(await answerTo(site, protocol, 'alice@example.test'), COME_BACK_LATER[protocol])
      assert.match(await answerTo(site, protocol, 'bob@example.test'), /^(OK|\+OK)/)
    })
  }

  test('is named in the log with the cause', async () => {
    await answerTo(site, 'imap', 'alice@example.test')
    await site.mailmux.waitForLog((line) => {
      const text = JSON.stringify(line)
      return text.includes('backend-refused') && text.includes('store1') && text.includes('ECONNREFUSED')
    }, 'store1 refuses connections')
  })

  test('serves its users again once it is back, without a word to mailmux', async () => {
    await site.stores.store1.restart()
    const client = await site.open('imap', 'starttls')
    const { accepted, answer } = await client.login('alice@example.test', PASSWORD)
    assert.ok(accepted, answer)
    await client.quit()
    await site.stores.store1.stop()
  })
})

describe('a Redis that is away', () => {
  let site: Site
  before(async () => {
    // durable: a Redis that comes back without its data has to be accepted first
    site = await startSite({ redis: 'durable', mailmux: { users: { 'dora@example.org': 'store3' } } })
  })
  after(() => site.close())

  /** While Redis gives no answer: users that mailmux has not seen come back later, users of the routing file notice nothing. */
  async function onlyItsUsersWait(protocol: MailProtocol): Promise<void> {
    assert.match(await answerTo(site, protocol, 'alice@example.test'), COME_BACK_LATER[protocol])
    assert.match(await answerTo(site, protocol, 'dora@example.org'), /^(OK|\+OK)/)
  }

  // Redis hangs first and dies later, so that no user of it has logged in before: a remembered route would be no proof
  for (const protocol of PROTOCOLS) {
    test(`and hangs makes its users come back later by ${protocol}`, async () => {
      await directoryConnected(site.mailmux)
      site.redis!.pause()
      try {
        await onlyItsUsersWait(protocol)
      } finally {
        site.redis!.resume()
      }
    })
  }

  for (const protocol of PROTOCOLS) {
    test(`and refuses connections makes its users come back later by ${protocol}`, async () => {
      await directoryConnected(site.mailmux)
      await site.redis!.stop()
      try {
        await onlyItsUsersWait(protocol)
      } finally {
        await site.redis!.restart()
      }
    })
  }

  test('is named in the log', async () => {
    await site.mailmux.waitForLog((line) => JSON.stringify(line).includes('directory-unavailable'), 'Redis is away')
  })

  test('serves its users again once it is back', async () => {
    await site.redis!.command('HSET', 'mailmux:user:alice@example.test', 'backend', 'store1')
    await directoryConnected(site.mailmux) // by itself, within seconds
    assert.match(await answerTo(site, 'imap', 'alice@example.test'), /^OK/)
  })
})

describe('a route to a back end that does not exist', () => {
  let site: Site
  before(async () => {
    site = await startSite({ redis: true })
    await site.redis!.command('HSET', 'mailmux:user:alice@example.test', 'backend', 'nowhere')
  })
  after(() => site.close())

  for (const protocol of PROTOCOLS) {
    test(`is refused, without blaming the password, by ${protocol}`, async () => {
      assert.match(await answerTo(site, protocol, 'alice@example.test'), NOT_THE_PASSWORD[protocol])
    })
  }

  test('is logged with the name', async () => {
    await answerTo(site, 'imap', 'alice@example.test')
    await site.mailmux.waitForLog((line) => {
      const text = JSON.stringify(line)
      return text.includes('route-invalid') && text.includes('nowhere')
    }, 'the route names no back end')
  })

  test('does not affect other users', async () => {
    assert.match(await answerTo(site, 'imap', 'bob@example.test'), /^OK/)
  })
})

for (const [fault, leaf] of [
  ['has another name', { names: ['DNS:other.example.test'] }],
  ['has expired', { days: -1 }],
] satisfies [string, LeafOptions][]) {
  describe(`a back end whose certificate ${fault}`, () => {
    let site: Site
    before(async () => {
      site = await startSite({ backendTls: 'starttls', storeCertificate: leaf })
    })
    after(() => site.close())

    for (const protocol of PROTOCOLS) {
      test(`is never given a password by ${protocol}`, async () => {
        assert.match(await answerTo(site, protocol, 'alice@example.test'), NOT_THE_PASSWORD[protocol])
        await site.mailmux.waitForLog((line) => JSON.stringify(line).includes('backend-certificate'), 'the certificate')
        assert.doesNotMatch(site.stores.store1.log(), /Login:/)
      })
    }
  })
}
