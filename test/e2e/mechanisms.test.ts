/** SASL through mailmux to real stores: the mechanisms offered, the exchange of each, and that no secret is logged. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { markerSubject } from '../support/dovecot.ts'
import type { MailClient, MailProtocol } from '../support/mail-client.ts'
import { run } from '../support/run.ts'
import {
  authenticate,
  findInLog,
  plainMessage,
  type SaslAnswer,
  scramClient,
  toBase64,
} from '../support/sasl-client.ts'
import { connectPeer } from '../support/scripted-peer.ts'
import { HOMES, PASSWORD, type Site, startSite } from '../support/site.ts'

const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']
const ALICE = 'alice@example.test'
const WRONG_PASSWORD = { imap: /^NO \[AUTHENTICATIONFAILED\] /, pop3: /^-ERR \[AUTH\] / }
const CANCELLED = { imap: /^BAD /, pop3: /^-ERR / } // RFC 9051 6.2.2, RFC 5034 4

const EVERYTHING = 'plain login xoauth2 oauthbearer scram-sha-1 scram-sha-256'
const WITHOUT_SCRAM = 'plain login xoauth2 oauthbearer'

/** The mechanisms before login, in the order of their names. */
async function offered({ protocol, peer }: Pick<MailClient, 'protocol' | 'peer'>): Promise<string[]> {
  peer.send(protocol === 'imap' ? 'w CAPABILITY' : 'CAPA')
  const lines = await peer.expectUntil(protocol === 'imap' ? /^w OK/ : '.')
  const words = (lines.find((line) => /^(\* CAPABILITY|SASL) /.test(line)) ?? '').split(' ')
  if (protocol === 'pop3') return words.slice(1).sort()
  return words.flatMap((word) => (word.startsWith('AUTH=') ? [word.slice('AUTH='.length)] : [])).sort()
}

async function isAtHome(client: MailClient, answer: SaslAnswer): Promise<void> {
  assert.ok(answer.accepted, answer.answer)
  assert.deepEqual(await client.subjects(), [markerSubject('store1', ALICE)])
  await client.quit()
}

/** Of a server-first-message (RFC 5802 7): all but the random bytes. The client's own nonce has 24 characters. */
function shapeOf(challenge: string): string {
  const [, nonce = '', salt = '', rest = ''] = /^r=([^,]+),s=([^,]+),(.*)$/.exec(challenge) ?? []
  return `nonce ${nonce.length - 24}, salt ${Buffer.from(salt, 'base64').length}, ${rest}`
}

describe('stores that take every mechanism', () => {
  let site: Site
  before(async () => {
    site = await startSite({ store: () => ({ mechanisms: EVERYTHING }) })
  })
  after(() => site.close())

  for (const protocol of PROTOCOLS) {
    describe(`by ${protocol}`, () => {
      test('have all of them offered, and none with channel binding', async () => {
        const client = await site.open(protocol, 'implicit')
        const wanted = ['LOGIN', 'OAUTHBEARER', 'PLAIN', 'SCRAM-SHA-1', 'SCRAM-SHA-256', 'XOAUTH2']
        assert.deepEqual(await offered(client), wanted)
        await client.quit()
      })

      test('see PLAIN with an initial response, and without one', async () => {
        for (const initial of [plainMessage(ALICE, PASSWORD), undefined]) {
          const client = await site.open(protocol, 'implicit')
          await isAtHome(client, await authenticate(client, 'PLAIN', initial, () => plainMessage(ALICE, PASSWORD)))
        }
      })

      test('see LOGIN, its user name in an initial response or asked for', async () => {
        for (const initial of [ALICE, undefined]) {
          const client = await site.open(protocol, 'implicit')
          const words = initial === undefined ? [ALICE, PASSWORD] : [PASSWORD]
          await isAtHome(client, await authenticate(client, 'LOGIN', initial, () => words.shift()))
        }
      })

      for (const mechanism of ['SCRAM-SHA-1', 'SCRAM-SHA-256'] as const) {
        test(`see ${mechanism}, and prove to the client that they have the password`, async () => {
          for (const withInitial of [true, false]) {
            const client = await site.open(protocol, 'implicit')
            const scram = scramClient(mechanism, ALICE, PASSWORD)
            const answer = withInitial
              ? await authenticate(client, mechanism, scram.first, scram.respond)
              : await authenticate(client, mechanism, undefined, (challenge, step) =>
                  step === 1 ? scram.first : scram.respond(challenge, step - 1),
                )
            assert.match(answer.challenges.at(-1)!, /^v=/)
            await isAtHome(client, answer)
          }
        })

        test(`refuse a wrong password by ${mechanism}, and the client goes on`, async () => {
          const client = await site.open(protocol, 'implicit')
          const mistaken = scramClient(mechanism, ALICE, 'mistaken-password')
          const refused = await authenticate(client, mechanism, mistaken.first, mistaken.respond)
          assert.match(refused.answer, WRONG_PASSWORD[protocol])
          const scram = scramClient(mechanism, ALICE, PASSWORD)
          await isAtHome(client, await authenticate(client, mechanism, scram.first, scram.respond))
          assert.equal(findInLog(site.mailmux, 'mistaken-password'), undefined)
        })
      }

      for (const mechanism of ['SCRAM-SHA-1', 'SCRAM-SHA-256'] as const) {
        test(`send the same ${mechanism} messages as mailmux itself, which refuses a user that does not exist`, async () => {
          const seen: { shape: string; answer: string }[] = []
          for (const user of [ALICE, 'nobody-at-all@example.test']) {
            const client = await site.open(protocol, 'implicit')
            const scram = scramClient(mechanism, user, 'mistaken-password')
            const { challenges, answer } = await authenticate(client, mechanism, scram.first, scram.respond)
            seen.push({ shape: challenges.map(shapeOf).join(' '), answer })
            client.peer.destroy()
          }
          assert.deepEqual(seen[1], seen[0])
          assert.match(seen[0]!.shape, /^nonce 64, salt 16, i=4096$/)
        })
      }

      test('refuse by SCRAM a name without the domain: the proof covers the name', async () => {
        const client = await site.open(protocol, 'implicit')
        const scram = scramClient('SCRAM-SHA-256', 'alice', PASSWORD)
        const { accepted, answer } = await authenticate(client, 'SCRAM-SHA-256', scram.first, scram.respond)
        assert.equal(accepted, false)
        assert.doesNotMatch(answer, /AUTHENTICATIONFAILED|\[AUTH\]/) // the password may be right
        client.peer.destroy()
      })

      test('hear nothing of an exchange that the client cancels, and the client goes on', async () => {
        const client = await site.open(protocol, 'implicit')
        for (const mechanism of ['PLAIN', 'LOGIN', 'SCRAM-SHA-256', 'OAUTHBEARER', 'XOAUTH2']) {
          const { answer } = await authenticate(client, mechanism, undefined, () => undefined)
          assert.match(answer, CANCELLED[protocol], mechanism)
        }
        const { answer } = await authenticate(client, 'LOGIN', ALICE, () => undefined)
        assert.match(answer, CANCELLED[protocol])
        const { accepted } = await client.login(ALICE, PASSWORD)
        assert.ok(accepted)
        await client.quit()
      })

      test('hear of a cancel in the middle of SCRAM, and the client goes on', async () => {
        const client = await site.open(protocol, 'implicit')
        const { first } = scramClient('SCRAM-SHA-256', ALICE, PASSWORD)
        const { answer, challenges } = await authenticate(client, 'SCRAM-SHA-256', first, () => undefined)
        assert.equal(challenges.length, 1)
        assert.match(answer, CANCELLED[protocol])
        assert.doesNotMatch(answer, /AUTH/)
        const { accepted } = await client.login(ALICE, PASSWORD)
        assert.ok(accepted)
        await client.quit()
      })

      test('are not asked where a response is not strict base64', async () => {
        const client = await site.open(protocol, 'implicit')
        client.peer.send(protocol === 'imap' ? 's AUTHENTICATE PLAIN' : 'AUTH PLAIN')
        await client.peer.expect('+ ')
        client.peer.send(` ${toBase64(plainMessage(ALICE, PASSWORD))}`)
        await client.peer.expect(protocol === 'imap' ? /^s BAD / : /^-ERR /)
        await isAtHome(client, await authenticate(client, 'PLAIN', plainMessage(ALICE, PASSWORD)))
      })
    })
  }

  test('let gsasl in by SCRAM after STARTTLS, which checks the proof itself', async () => {
    for (const mechanism of ['SCRAM-SHA-1', 'SCRAM-SHA-256']) {
      const { code, stdout, stderr } = await run('gsasl', [
        ...['--imap', '--mechanism', mechanism, '--connect', `localhost:${site.mailmux.ports.imap}`],
        ...['--starttls', '--no-cb', '--x509-ca-file', site.authority.caFile],
        ...['--authentication-id', ALICE, '--password', PASSWORD],
      ])
      assert.equal(code, 0, stdout + stderr)
      assert.match(stdout, /^\. OK /m)
    }
  })

  test('have log lines with the user, and without the password or a proof', () => {
    assert.ok(site.mailmux.log().some((line) => line.msg === 'session ended' && line['user'] === ALICE))
    assert.equal(findInLog(site.mailmux, plainMessage(ALICE, PASSWORD), PASSWORD, 'c=biws'), undefined)
  })
})

describe('one store of three without SCRAM', () => {
  let site: Site
  before(async () => {
    site = await startSite({
      store: (name) => ({ mechanisms: name === 'store3' ? WITHOUT_SCRAM : EVERYTHING }),
    })
  })
  after(() => site.close())

  for (const protocol of PROTOCOLS) {
    test(`takes it out of the offer of ${protocol} for everybody`, async () => {
      const client = await site.open(protocol, 'implicit')
      assert.deepEqual(await offered(client), ['LOGIN', 'OAUTHBEARER', 'PLAIN', 'XOAUTH2'])
      const scram = scramClient('SCRAM-SHA-256', ALICE, PASSWORD)
      const { answer } = await authenticate(client, 'SCRAM-SHA-256', scram.first, scram.respond)
      assert.match(answer, { imap: /^NO \[CANNOT\] /, pop3: /^-ERR / }[protocol])
      await isAtHome(client, await authenticate(client, 'PLAIN', plainMessage(ALICE, PASSWORD)))
    })

    test(`offers nothing at all by ${protocol} before TLS`, async () => {
      const peer = await connectPeer(site.scene, { port: site.mailmux.ports[protocol] })
      await peer.readLine()
      assert.deepEqual(await offered({ protocol, peer }), [])
      peer.destroy()
    })
  }

  test('is where carol lives, who logs in as ever', async () => {
    const client = await site.open('imap', 'implicit')
    assert.equal(HOMES['carol@example.test'], 'store3')
    const { accepted, answer } = await client.login('carol@example.test', PASSWORD)
    assert.ok(accepted, answer)
    await client.quit()
  })
})
