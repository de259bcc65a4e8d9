/** Mail clients that others wrote: what they insist on is what counts. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { ImapFlow } from 'imapflow'
import { markerSubject } from '../support/dovecot.ts'
import { run } from '../support/run.ts'
import { PASSWORD, type Site, startSite } from '../support/site.ts'

const ALICE = 'alice@example.test'
const MARKER = markerSubject('store1', ALICE)

let site: Site
before(async () => {
  site = await startSite()
})
after(() => site.close())

describe('imapflow', () => {
  const options = (secure: boolean, pass: string) => ({
    host: '127.0.0.1',
    port: secure ? site.mailmux.ports.imaps : site.mailmux.ports.imap,
    secure,
    auth: { user: ALICE, pass },
    tls: { ca: site.authority.ca, servername: 'mail.example.test' },
    logger: false as const,
  })

  for (const secure of [true, false]) {
    test(`logs in, appends, fetches and logs out (${secure ? 'implicit TLS' : 'STARTTLS'})`, async () => {
      const client = new ImapFlow(options(secure, PASSWORD))
      await client.connect()
      assert.ok(client.secureConnection)
      const subject = `appended ${secure ? 'in TLS' : 'after STARTTLS'}`
      await client.append('INBOX', `Subject: ${subject}\r\n\r\nbody\r\n`)
      await client.mailboxOpen('INBOX')
      const subjects: (string | undefined)[] = []
      for await (const message of client.fetch('1:*', { envelope: true })) subjects.push(message.envelope?.subject)
      assert.equal(subjects[0], MARKER)
      assert.ok(subjects.includes(subject))
      await client.logout()
    })
  }

  test('learns what the back end can do once it is logged in', async () => {
    const client = new ImapFlow(options(true, PASSWORD))
    await client.connect()
    assert.ok(client.capabilities.has('CONDSTORE')) // Dovecot lists it only after a login
    await client.logout()
  })

  test('takes a refused password for what it is', async () => {
    const client = new ImapFlow(options(true, 'wrong'))
    await assert.rejects(client.connect(), (error: Error) => {
      assert.ok('authenticationFailed' in error && error.authenticationFailed === true)
      assert.ok('serverResponseCode' in error && error.serverResponseCode === 'AUTHENTICATIONFAILED')
      return true
    })
  })
})

describe('curl', () => {
  const curl = (url: string, password: string, ...more: string[]) =>
    run('curl', [
      ...['--silent', '--show-error', '--max-time', '15', '--cacert', site.authority.caFile],
      ...['--user', `${ALICE}:${password}`, ...more, url],
    ])
  const urls = () => {
    const { imap, imaps, pop3, pop3s } = site.mailmux.ports
    return [
      `imaps://127.0.0.1:${imaps}/INBOX;UID=1`,
      `imap://127.0.0.1:${imap}/INBOX;UID=1`,
      `pop3s://127.0.0.1:${pop3s}/1`,
      `pop3://127.0.0.1:${pop3}/1`,
    ]
  }

  test('reads a message by imaps, imap, pop3s and pop3', async () => {
    for (const url of urls()) {
      const { code, stdout, stderr } = await curl(url, PASSWORD, '--ssl-reqd')
      assert.equal(code, 0, `${url}: ${stderr}`)
      assert.match(stdout, new RegExp(`Subject: ${MARKER}`))
    }
  })

  test('reports a wrong password as a refused login', async () => {
    for (const url of urls()) {
      const { code, stderr } = await curl(url, 'wrong', '--ssl-reqd')
      assert.equal(code, 67, `${url}: ${stderr}`) // CURLE_LOGIN_DENIED
    }
  })

  test('is not offered a login in clear', async () => {
    const { imap, pop3 } = site.mailmux.ports
    for (const url of [`imap://127.0.0.1:${imap}/INBOX;UID=1`, `pop3://127.0.0.1:${pop3}/1`]) {
      const { code, stdout } = await curl(url, PASSWORD)
      assert.notEqual(code, 0)
      assert.equal(stdout, '')
    }
    assert.ok(!site.mailmux.program.stdout().includes(PASSWORD))
  })
})

describe('Python', () => {
  const python = async (script: string, ...args: (string | number)[]) => {
    const words = [...args, site.authority.caFile, ALICE, PASSWORD].map(String)
    const { code, stdout, stderr } = await run('python3', ['-c', script, ...words])
    assert.equal(code, 0, stderr)
    return stdout
  }

  test('imaplib logs in and searches, after STARTTLS and in implicit TLS', async () => {
    const script = `
import imaplib, ssl, sys
clear, secure, ca, user, password = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
first = imaplib.IMAP4('127.0.0.1', int(clear))
first.starttls(context)
for client in first, imaplib.IMAP4_SSL('127.0.0.1', int(secure), ssl_context=context):
    client.login(user, password)
    client.select('INBOX', readonly=True)
    print(client.fetch('1', '(BODY[HEADER.FIELDS (SUBJECT)])')[1][0][1].decode().strip())
    client.logout()
`
    const lines = (await python(script, site.mailmux.ports.imap, site.mailmux.ports.imaps)).trim().split('\n')
    assert.deepEqual(lines, [`Subject: ${MARKER}`, `Subject: ${MARKER}`])
  })

  test('imaplib logs in by AUTHENTICATE PLAIN', async () => {
    const script = `
import imaplib, ssl, sys
port, ca, user, password = sys.argv[1:]
client = imaplib.IMAP4_SSL('127.0.0.1', int(port), ssl_context=ssl.create_default_context(cafile=ca))
print(client.authenticate('PLAIN', lambda challenge: b'\\0%s\\0%s' % (user.encode(), password.encode()))[0])
client.logout()
`
    assert.equal((await python(script, site.mailmux.ports.imaps)).trim(), 'OK')
  })

  test('poplib lists and retrieves, after STLS and in implicit TLS', async () => {
    const script = `
import poplib, ssl, sys
clear, secure, ca, user, password = sys.argv[1:]
context = ssl.create_default_context(cafile=ca)
first = poplib.POP3('127.0.0.1', int(clear))
first.stls(context)
for client in first, poplib.POP3_SSL('127.0.0.1', int(secure), context=context):
    client.capa()
    client.user(user)
    client.pass_(password)
    print([line.decode() for line in client.retr(1)[1] if line.startswith(b'Subject')][0])
    client.quit()
`
    const lines = (await python(script, site.mailmux.ports.pop3, site.mailmux.ports.pop3s)).trim().split('\n')
    assert.deepEqual(lines, [`Subject: ${MARKER}`, `Subject: ${MARKER}`])
  })
})

describe('openssl s_client', () => {
  const client = (protocol: 'imap' | 'pop3', input: string) =>
    run(
      'openssl',
      [
        ...[
          's_client',
          '-quiet',
          '-crlf',
          '-starttls',
          protocol,
          '-connect',
          `127.0.0.1:${site.mailmux.ports[protocol]}`,
        ],
        ...['-CAfile', site.authority.caFile, '-verify_return_error', '-verify_hostname', 'mail.example.test'],
      ],
      { input },
    )

  test('logs in after STARTTLS', async () => {
    const { stdout, stderr } = await client('imap', `a LOGIN ${ALICE} ${PASSWORD}\nb LOGOUT\n`)
    assert.match(stdout, /^a OK /m, stderr)
    assert.match(stdout, /^b OK /m)
  })

  test('logs in after STLS', async () => {
    const { stdout, stderr } = await client('pop3', `USER ${ALICE}\nPASS ${PASSWORD}\nSTAT\nQUIT\n`)
    assert.match(stdout, /^\+OK \d+ \d+/m, stderr)
  })
})
