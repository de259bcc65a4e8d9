/**
 * An auth server for nginx's mail proxy serves mailmux unchanged: both proxies run side by side before the same stores, and ask the same.
 * The failures of an auth server follow: an answer that names another host, a late one, and none.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { type Account, type Asked, type AuthServer, startAuthServer, startMailProxy } from '../support/auth-http.ts'
import { markerSubject } from '../support/dovecot.ts'
import { type MailProtocol, openMailClient, type Security } from '../support/mail-client.ts'
import type { YamlMap } from '../support/mailmux.ts'
import { openScene } from '../support/scene.ts'
import { freePort } from '../support/ports.ts'
import { PASSWORD, type Site, startSite } from '../support/site.ts'

const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']
const ALICE = 'alice@example.test'
const BOB = 'bob@example.test'
const CAROL = 'carol@example.test'
const COME_BACK_LATER = { imap: /^NO \[UNAVAILABLE\] /, pop3: /^-ERR \[SYS\/TEMP\] / }
const MISCONFIGURED = { imap: /^NO \[SERVERBUG\] /, pop3: /^-ERR \[SYS\/PERM\] / }
const WRONG_PASSWORD = { imap: /^NO \[AUTHENTICATIONFAILED\] /, pop3: /^-ERR \[AUTH\] / }

/** A site whose users are the auth server's alone, but for carol, who stands in the routing file. */
function startWith(directory: YamlMap, listeners: YamlMap[] = []): Promise<Site> {
  return startSite({
    mailmux: {
      directory: { auth_http: directory },
      users: { [CAROL]: 'store3' },
      limits: { failure_delay: '0s' },
      listeners,
    },
  })
}

/** Logs in as a client of either proxy. @returns where it has arrived, or the answer that it got and whether it may go on */
async function arrival(
  site: Site,
  where: { protocol: MailProtocol; port: number; security?: Security; certificate?: { cert: string; key: string } },
  user: string,
  password: string,
): Promise<{ arrived: string[] } | { closed: boolean }> {
  const { protocol, port, security = 'clear', certificate } = where
  const client = await openMailClient(site.scene, protocol, port, security, { ...site.tls, ...certificate })
  const { accepted } = await client.login(user, password)
  if (!accepted) {
    client.peer.send(protocol === 'imap' ? 'n NOOP' : 'STLS')
    const closed = await client.peer.readLine().then(
      (line) => line.startsWith('* BYE') || line.endsWith('No more login attempts on this connection.'),
      () => true,
    )
    client.peer.destroy()
    return { closed }
  }
  const arrived = await client.subjects()
  await client.quit()
  return { arrived }
}

describe('an auth server of nginx', () => {
  let site: Site
  let auth: AuthServer
  let nginx: Record<'imap' | 'imaps' | 'pop3', number>
  let verified: number

  /** with characters that the contract escapes, and some that it does not */
  const STRANGE = 'pa%20ss w+rd&=;~'

  before(async () => {
    const [port, clientCaPort] = [await freePort(), await freePort()]
    verified = clientCaPort
    const scene = openScene()
    site = await startWith(
      {
        url: `http://127.0.0.1:${port}/auth`,
        send_password: true,
        send_client_certificate: true,
        headers: { 'X-Auth-Key': { file: writeSecret(scene.directory) } },
      },
      [
        {
          ...{ name: 'imap-verified', protocol: 'imap', listen: [`127.0.0.1:${clientCaPort}`], tls: 'implicit' },
          ...{ min_version: 'TLSv1.3', client_cert_user: '%{cn}', client_ca_file: 'ca.pem' },
        },
      ],
    )
    site.scene.closeLater(() => scene.close())
    const at = (store: keyof Site['stores']): Pick<Account, 'imap' | 'pop3'> => site.stores[store].ports
    auth = await startAuthServer(site.scene, port, {
      [ALICE]: { password: PASSWORD, ...at('store1') },
      [BOB]: { password: 'at-the-front', ...at('store2'), loginPassword: PASSWORD },
      'dora@example.org': { password: escaped(STRANGE), ...at('store3'), login: BOB, loginPassword: PASSWORD },
      // accepted by the auth server; the store has another password
      'eve@example.test': { password: 'mine', ...at('store1') },
    })
    nginx = { imap: await freePort(), imaps: await freePort(), pop3: await freePort() }
    const certificate = await site.authority.issue('nginx')
    await startMailProxy(site.scene, { auth, ...nginx, certificate, caFile: site.authority.caFile })
  })
  after(() => site.close())

  /** What the last two questions were: nginx's and mailmux's. */
  async function lastTwo(count: number): Promise<[Asked, Asked]> {
    const asked = await auth.asked(count)
    return [asked.at(-2)!, asked.at(-1)!]
  }

  const LOGINS: {
    what: string
    user: string
    password: string
    result: { arrived: string[] } | { closed: boolean }
  }[] = [
    {
      what: 'a right password',
      user: ALICE,
      password: PASSWORD,
      result: { arrived: [markerSubject('store1', ALICE)] },
    },
    {
      what: 'a password that the server changes',
      ...{ user: BOB, password: 'at-the-front' },
      result: { arrived: [markerSubject('store2', BOB)] },
    },
    {
      what: 'a name and a password that the server changes, of characters that are escaped',
      ...{ user: 'dora@example.org', password: STRANGE },
      result: { arrived: [markerSubject('store3', BOB)] },
    },
    { what: 'a wrong password', user: ALICE, password: 'wrong', result: { closed: false } },
    {
      what: 'the password of the store, where the server wants its own',
      user: BOB,
      password: PASSWORD,
      result: { closed: false },
    },
    { what: 'an unknown user', user: 'nobody@example.test', password: PASSWORD, result: { closed: false } },
  ]
  for (const protocol of PROTOCOLS)
    for (const { what, user, password, result } of LOGINS)
      test(`is asked the same by nginx and mailmux, with the same result, for ${what} by ${protocol}`, async () => {
        const spoken = protocol === 'imap' ? `"${password}"` : password
        const before = (await auth.asked(0)).length
        const ours = { protocol, port: site.mailmux.ports[protocol === 'imap' ? 'imapClear' : 'pop3Clear'] }
        assert.deepEqual(await arrival(site, { protocol, port: nginx[protocol] }, user, spoken), result)
        assert.deepEqual(await arrival(site, ours, user, spoken), result)
        const [first, second] = await lastTwo(before + 2)
        assert.deepEqual(second, first)
        assert.equal((await auth.asked(0)).length, before + 2)
        assert.equal(second.auth_pass, escaped(password))
        assert.equal(second.x_auth_key, 'shared-secret')
      })

  test('gets the same facts of TLS and of a client certificate', async () => {
    const certificate = await site.authority.issue('Jürgen "x", y', { usage: 'clientAuth' })
    const before = (await auth.asked(0)).length
    for (const port of [nginx.imaps, verified]) {
      const where = { protocol: 'imap', port, security: 'implicit', certificate } as const
      assert.deepEqual(await arrival(site, where, ALICE, PASSWORD), { arrived: [markerSubject('store1', ALICE)] })
    }
    const [first, second] = await lastTwo(before + 2)
    assert.deepEqual(second, first)
    assert.deepEqual([second.auth_ssl, second.auth_ssl_protocol, second.auth_ssl_verify], ['on', 'TLSv1.3', 'SUCCESS'])
    assert.match(second.auth_ssl_subject ?? '', /^CN=J\\C3.*rgen \\"x\\"\\, y$/)
    assert.match(second.auth_ssl_cert ?? '', /^-----BEGIN%20CERTIFICATE-----%0A/)
  })

  test('gets the same facts of a client that has no certificate', async () => {
    const before = (await auth.asked(0)).length
    for (const port of [nginx.imaps, verified])
      await arrival(site, { protocol: 'imap', port, security: 'implicit' }, ALICE, PASSWORD)
    const [first, second] = await lastTwo(before + 2)
    assert.deepEqual(second, first)
    assert.equal(second.auth_ssl_verify, 'NONE')
  })

  for (const protocol of PROTOCOLS)
    test(`counts the attempts of a connection, and ends it when it has had enough by ${protocol}`, async () => {
      const theirs = await openMailClient(site.scene, protocol, nginx[protocol], 'clear', site.tls)
      const ours = await site.open(protocol, 'implicit')
      const before = (await auth.asked(0)).length
      for (let attempt = 1; attempt <= 3; attempt++) {
        assert.equal((await theirs.login(ALICE, 'wrong')).accepted, false)
        assert.match((await ours.login(ALICE, 'wrong')).answer, WRONG_PASSWORD[protocol])
      }
      await theirs.peer.expectClose()
      await ours.peer.expect(/No more login attempts on this connection\.$/)
      await ours.peer.expectClose()
      const asked = (await auth.asked(before + 6)).slice(before)
      assert.deepEqual(
        asked.map(({ auth_login_attempt: attempt }) => attempt),
        ['1', '1', '2', '2', '3', '3'],
      )
      const ended = await site.mailmux.waitForLog(({ cause }) => cause === 'client-refused', 'its end')
      assert.equal(ended.msg, 'session ended')
    })

  test('gives the reason in the log, and the client a plain refusal', async () => {
    const { answer } = await (await site.open('imap', 'implicit')).login('nobody@example.test', PASSWORD)
    assert.equal(answer, 'NO [AUTHENTICATIONFAILED] Authentication failed.')
    const refused = await site.mailmux.waitForLog(
      ({ msg, user }) => msg === 'login refused' && user === 'nobody@example.test',
      'the refusal',
    )
    assert.equal(refused.detail, 'the auth server says "Invalid login or password"')
  })

  test('does not override a refusal of the store', async () => {
    const { answer } = await (await site.open('imap', 'implicit')).login('eve@example.test', 'mine')
    assert.match(answer, WRONG_PASSWORD.imap)
  })

  test('is not asked for users of the routing file', async () => {
    const before = (await auth.asked(0)).length
    const client = await site.open('imap', 'implicit')
    assert.ok((await client.login(CAROL, PASSWORD)).accepted)
    assert.deepEqual(await client.subjects(), [markerSubject('store3', CAROL)])
    assert.equal((await auth.asked(0)).length, before)
  })

  test('offers no mechanism by which it is shown no password', async () => {
    const client = await site.open('imap', 'implicit')
    assert.match(client.greeting, /AUTH=PLAIN/)
    assert.doesNotMatch(client.greeting, /AUTH=(?!PLAIN|LOGIN)/)
  })

  for (const protocol of PROTOCOLS)
    test(`is not asked about a password that nginx would reject for its size by ${protocol}`, async () => {
      const before = (await auth.asked(0)).length
      const client = await site.open(protocol, 'implicit')
      const password = '%'.repeat(3000)
      const { answer } = await client.login(ALICE, protocol === 'imap' ? `"${password}"` : password)
      assert.match(answer, WRONG_PASSWORD[protocol])
      assert.equal((await auth.asked(0)).length, before)
      assert.equal(await site.mailmux.metric('mailmux_directory_up'), 1)
    })

  test('is counted as a directory', async () => {
    assert.ok(((await site.mailmux.metric('mailmux_route_lookups_total{source="directory"}')) ?? 0) > 0)
    assert.equal(await site.mailmux.metric('mailmux_directory_up'), 1)
  })

  test('puts no password into a log', async () => {
    await site.mailmux.stop()
    const output = site.mailmux.program.stdout() + site.mailmux.program.stderr()
    assert.ok(output.includes(ALICE))
    for (const secret of ['at-the-front', STRANGE, escaped(STRANGE), 'shared-secret', '"mine"'])
      assert.ok(!output.includes(secret), secret)
  })
})

describe('an auth server that returns the back end of each user, and no more', () => {
  let site: Site
  let auth: AuthServer
  before(async () => {
    const port = await freePort()
    site = await startWith({ url: `http://127.0.0.1:${port}/auth` })
    auth = await startAuthServer(site.scene, port, {
      [ALICE]: site.stores.store1.ports,
      [BOB]: { ...site.stores.store2.ports, loginPassword: PASSWORD },
    })
  })
  after(() => site.close())

  for (const protocol of PROTOCOLS) {
    test(`sees no password, and the store judges it by ${protocol}`, async () => {
      const port = site.mailmux.ports[protocol === 'imap' ? 'imapClear' : 'pop3Clear']
      assert.deepEqual(await arrival(site, { protocol, port }, ALICE, PASSWORD), {
        arrived: [markerSubject('store1', ALICE)],
      })
      const client = await site.open(protocol, 'implicit')
      assert.match((await client.login(ALICE, 'wrong')).answer, WRONG_PASSWORD[protocol])
      for (const { auth_pass: password } of await auth.asked(2)) assert.equal(password, '')
    })

    // With such a password any client could log in as bob.
    test(`is refused if it returns a password that was not asked for by ${protocol}`, async () => {
      const client = await site.open(protocol, 'implicit')
      assert.match((await client.login(BOB, 'anything')).answer, MISCONFIGURED[protocol])
    })
  }
})

describe('an auth server that is hostile, or ill', () => {
  let site: Site
  let handler: RequestListener
  before(async () => {
    const server = createServer((request, response) => handler(request, response))
    server.listen({ host: '127.0.0.1', port: 0 })
    await once(server, 'listening')
    site = await startWith({
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/auth`,
      send_password: true,
      timeout: '500ms',
    })
    site.scene.closeLater(() => {
      server.close()
      server.closeAllConnections()
    })
  })
  after(() => site.close())

  /** Answers each question with these headers. */
  const answers =
    (headers: Record<string, string | number>, status = 200): RequestListener =>
    (_request, response) =>
      response.writeHead(status, headers).end('a page')

  const ok = (over: Record<string, string | number> = {}) => ({
    'Auth-Status': 'OK',
    'Auth-Server': '127.0.0.1',
    'Auth-Port': site.stores.store1.ports.imap,
    ...over,
  })

  /** The answer that a client gets, and the fields of the log line. */
  async function outcome(protocol: MailProtocol): Promise<{ answer: string; code: unknown; backend: unknown }> {
    const seen = site.mailmux.log().length
    const client = await site.open(protocol, 'implicit')
    const { answer } = await client.login(ALICE, PASSWORD)
    client.peer.destroy()
    const refused = await site.mailmux.waitForLog(
      (line) =>
        line.msg === 'login refused' &&
        !site.mailmux
          .log()
          .slice(0, seen)
          .some(({ session }) => session === line.session),
      'the refusal',
    )
    return { answer, code: refused.code, backend: refused.backend }
  }

  for (const protocol of PROTOCOLS) {
    test(`is not followed to a host or a port that the routing file does not name by ${protocol}`, async () => {
      const other = site.stores.store1.ports[protocol === 'imap' ? 'pop3' : 'imap']
      for (const over of [{ 'Auth-Server': '192.0.2.66' }, { 'Auth-Port': 1 }, { 'Auth-Port': other }]) {
        handler = answers(ok({ 'Auth-Port': site.stores.store1.ports[protocol], ...over }))
        const { answer, code, backend } = await outcome(protocol)
        assert.match(answer, MISCONFIGURED[protocol])
        assert.deepEqual([code, backend], ['route-invalid', undefined])
      }
    })

    test(`causes a temporary failure if it fails, redirects, or is no auth server by ${protocol}`, async () => {
      const places = ok({ 'Auth-Port': site.stores.store1.ports[protocol] })
      for (const wrong of [
        answers(places, 500),
        answers({ ...places, Location: 'http://127.0.0.1:1/' }, 302),
        answers({ 'Content-Type': 'text/html' }),
        answers({ ...places, 'X-Large': 'x'.repeat(50_000) }),
      ]) {
        handler = wrong
        const { answer, code } = await outcome(protocol)
        assert.match(answer, COME_BACK_LATER[protocol])
        assert.equal(code, 'directory-unavailable')
      }
    })

    test(`causes a temporary failure if it does not answer in time by ${protocol}`, async () => {
      handler = () => undefined
      const began = performance.now()
      const { answer } = await outcome(protocol)
      assert.match(answer, COME_BACK_LATER[protocol])
      assert.ok(performance.now() - began < 5000)
      assert.equal(await site.mailmux.metric('mailmux_directory_up'), 0)
      // Users of the routing file are not affected.
      assert.ok((await (await site.open(protocol, 'implicit')).login(CAROL, PASSWORD)).accepted)
      // And the others neither, once it is back.
      handler = answers(ok({ 'Auth-Port': site.stores.store1.ports[protocol] }))
      assert.ok((await (await site.open(protocol, 'implicit')).login(ALICE, PASSWORD)).accepted)
      assert.equal(await site.mailmux.metric('mailmux_directory_up'), 1)
    })
  }

  test('causes one log line for each outage, and one for its end', () => {
    const told = site.mailmux.log().filter(({ msg }) => msg.startsWith('directory '))
    assert.ok(told.length >= 4)
    told.forEach((line, index) =>
      assert.notDeepEqual([line.msg, line.cause], [told[index + 1]?.msg, told[index + 1]?.cause]),
    )
  })
})

/** nginx's own set: controls, space and percent (NGX_ESCAPE_MAIL_AUTH). */
function escaped(text: string): string {
  return text.replaceAll('%', '%25').replaceAll(' ', '%20')
}

function writeSecret(directory: string): string {
  const file = join(directory, 'auth.key')
  writeFileSync(file, 'shared-secret\n')
  return file
}
