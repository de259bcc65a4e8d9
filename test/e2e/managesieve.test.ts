/** ManageSieve by real clients and real servers: a Dovecot and a Cyrus behind mailmux, each visited directly and through it. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { makeAuthority, type Authority } from '../support/certificates.ts'
import { type Cyrus, startCyrus } from '../support/cyrus.ts'
import { type Dovecot, startDovecot } from '../support/dovecot.ts'
import { type Mailmux, startMailmux, toBackend } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { run } from '../support/run.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { connectPeer, type ScriptedPeer } from '../support/scripted-peer.ts'
import { SIEVE_CLIENTS, SIEVE_SCRIPT, visitBySivtest } from '../support/sieve-clients.ts'
import { MAIN, NODE_OF_COMMAND } from '../support/command.ts'

const PASSWORD = 'secret'
/** A user for each visit at each server: one direct, one through mailmux. The names have the same length. */
const USERS = {
  dovecot: { direct: 'anna@example.test', proxied: 'alma@example.test' },
  cyrus: { direct: 'bert@example.test', proxied: 'bill@example.test' },
} as const
type ServerName = keyof typeof USERS
const passwords = (server: ServerName): Record<string, string> =>
  Object.fromEntries(Object.values(USERS[server]).map((user) => [user, PASSWORD]))

let scene: Scene
let authority: Authority
let dovecot: Dovecot
let cyrus: Cyrus
let mailmux: Mailmux
let ports: { starttls: number; implicit: number; clear: number }
before(async () => {
  scene = openScene()
  authority = await makeAuthority(scene.directory)
  const certificate = await authority.issue('store')
  dovecot = await startDovecot(scene, {
    name: 'dovecot',
    users: { ...passwords('dovecot'), 'down@example.test': PASSWORD },
    certificate,
    sieve: true,
    mechanisms: 'plain login',
    extra: 'login_trusted_networks = 127.0.0.1',
  })
  cyrus = await startCyrus(scene, { name: 'cyrus', users: passwords('cyrus'), certificate })
  ports = { starttls: await freePort(), implicit: await freePort(), clear: await freePort() }
  const verified = { tls: 'starttls', tls_name: 'mail.example.test', ca_file: authority.caFile }
  mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    listeners: [
      { name: 'sieve', protocol: 'managesieve', listen: `127.0.0.1:${ports.starttls}` },
      { name: 'sieves', protocol: 'managesieve', listen: `127.0.0.1:${ports.implicit}`, tls: 'implicit' },
      {
        name: 'sieve-clear',
        protocol: 'managesieve',
        listen: `127.0.0.1:${ports.clear}`,
        tls: 'none',
        allow_plaintext_auth: true,
      },
    ],
    backends: {
      dovecot: toBackend(dovecot, 'starttls', authority.caFile),
      cyrus: { host: '127.0.0.1', ...cyrusPorts(), ...verified },
      away: { host: '127.0.0.1', managesieve: await freePort(), imap: dovecot.ports.imap },
      'mail-only': { host: '127.0.0.1', imap: cyrus.ports.imap },
    },
    users: {
      [USERS.dovecot.proxied]: 'dovecot',
      [USERS.cyrus.proxied]: 'cyrus',
      'down@example.test': 'away',
      'mail@example.test': 'mail-only',
    },
  })
})
after(() => scene.close())

const cyrusPorts = () => ({ imap: cyrus.ports.imap, managesieve: cyrus.ports.managesieve })
const serverPort = (server: ServerName): number =>
  server === 'dovecot' ? (dovecot.ports.managesieve ?? 0) : cyrus.ports.managesieve

for (const server of ['dovecot', 'cyrus'] as const) {
  describe(`at ${server}`, () => {
    for (const [client, visit] of Object.entries(SIEVE_CLIENTS)) {
      test(`${client} does the same through mailmux as directly`, async () => {
        const { direct, proxied } = USERS[server]
        const caFile = authority.caFile
        const wanted = await visit(scene, { port: serverPort(server), user: direct, password: PASSWORD, caFile })
        const got = await visit(scene, { port: ports.starttls, user: proxied, password: PASSWORD, caFile })
        // Before login mailmux announces what both servers have.
        if (got.extensions !== undefined) {
          for (const name of got.extensions) assert.ok(wanted.extensions?.includes(name), name)
          assert.ok(got.extensions.includes('fileinto'))
        }
        assert.deepEqual({ ...got, extensions: [] }, { ...wanted, extensions: [] })
        assert.equal(got.refused, undefined)
        assert.deepEqual([got.uploaded, got.activated, got.deleted], [['main'], ['main*'], []])
        assert.equal(got.script?.trimEnd().replaceAll('\r', ''), SIEVE_SCRIPT.trimEnd().replaceAll('\r', ''))
      })

      test(`${client} is refused with a wrong password`, async () => {
        const login = { port: ports.starttls, user: USERS[server].proxied, password: 'wrong', caFile: authority.caFile }
        assert.match((await visit(scene, login)).refused ?? '', /Authentication failed/)
      })
    }

    test('sivtest logs in and lists scripts', async () => {
      const said = await visitBySivtest(cyrus, {
        port: ports.clear,
        user: USERS[server].proxied,
        password: PASSWORD,
        caFile: authority.caFile,
      })
      assert.match(said, /"IMPLEMENTATION" "mailmux"[^]*Authenticated\.[^]*\nOK/)
    })

    test('says the same to every command after the login, byte for byte', async () => {
      const { direct, proxied } = USERS[server]
      const wanted = await record(serverPort(server), direct)
      const got = await record(ports.clear, proxied)
      assert.deepEqual(got, wanted)
      assert.ok(got.length > 20)
    })
  })
}

/** A conversation of two scripts, errors included. */
async function record(port: number, user: string): Promise<string[]> {
  const peer = await connectPeer(scene, { port })
  await peer.expectUntil(/^OK/)
  await logIn(peer, user)
  const heard: string[] = []
  const script = 'require "fileinto";\r\nfileinto "a {3}";\r\n# UNAUTHENTICATED\r\n'
  for (const command of [
    'CAPABILITY',
    'HAVESPACE "main" 100',
    `PUTSCRIPT "main" {${script.length}+}\r\n${script}`,
    'PUTSCRIPT "bad" {9+}\r\nnonsense!',
    `PUTSCRIPT {5+}\r\nother {5+}\r\nkeep;`,
    'LISTSCRIPTS',
    'SETACTIVE "main"',
    'GETSCRIPT "main"',
    'RENAMESCRIPT "other" "third"',
    'DELETESCRIPT "main"',
    'SETACTIVE ""',
    'DELETESCRIPT "main"',
    'DELETESCRIPT "third"',
    'LISTSCRIPTS',
    'NOOP "a tag"',
    'NONSENSE',
  ]) {
    peer.send(command)
    heard.push(...(await peer.expectUntil(/^(?:OK|NO|BYE)\b/)).map((line) => line.replaceAll(user, 'USER')))
  }
  peer.send('LOGOUT')
  heard.push(...(await peer.expectUntil(/^OK/)))
  await peer.expectClose()
  return heard
}

async function logIn(peer: ScriptedPeer, user: string, password = PASSWORD): Promise<string> {
  const response = Buffer.from(`\0${user}\0${password}`).toString('base64')
  peer.send(`AUTHENTICATE "PLAIN" "${response}"`)
  return peer.expect(/^(?:OK|NO|BYE)/)
}

async function open(security: 'starttls' | 'implicit' | 'clear'): Promise<ScriptedPeer> {
  const tls = { ca: authority.ca, servername: 'mail.example.test' }
  const peer = await connectPeer(scene, { port: ports[security] }, security === 'implicit' ? tls : undefined)
  await peer.expectUntil(/^OK/)
  if (security !== 'starttls') return peer
  await peer.ask('STARTTLS', /^OK/)
  await peer.startTls(tls)
  await peer.expectUntil(/^OK/)
  return peer
}

for (const security of ['starttls', 'implicit', 'clear'] as const) {
  test(`logs in ${security}, and the back end learns the client's address`, async () => {
    const peer = await open(security)
    assert.match(await logIn(peer, USERS.dovecot.proxied), /^OK "Logged in\."$/)
    await peer.ask('LOGOUT', /^OK/)
    await peer.expectClose()
    const line = await mailmux.waitForLog(
      ({ msg, listener, user }) =>
        msg === 'session ended' &&
        listener === { starttls: 'sieve', implicit: 'sieves', clear: 'sieve-clear' }[security] &&
        user === USERS.dovecot.proxied,
      'the end of the session',
    )
    assert.ok(dovecot.log().includes(`session=<${String(line.session)}>`), 'XCLIENT')
  })
}

test('drops bytes that follow STARTTLS in clear, and ends the connection', async () => {
  const peer = await connectPeer(scene, { port: ports.starttls })
  await peer.expectUntil(/^OK/)
  peer.send('STARTTLS\r\nNOOP "injected"')
  await peer.expect(/^OK "Begin/)
  await peer.expectClose()
})

test('answers UNAUTHENTICATE with BYE, so that no second user logs in on the connection', async () => {
  const peer = await open('starttls')
  await logIn(peer, USERS.cyrus.proxied)
  peer.send('NOOP')
  await peer.expect(/^OK/)
  peer.send('unauthenticate')
  await peer.expect(/^BYE /)
  await peer.expectClose()
})

/** Cyrus goes on with the rest of a line behind a word that it did not expect, and reads what it did not take for a literal as commands. */
for (const command of [
  'CAPABILITY UNAUTHENTICATE',
  '(UNAUTHENTICATE',
  'NOOP "x" UNAUTHENTICATE',
  'NOOP {3+}\r\nabc UNAUTHENTICATE',
  'X {28+}\r\nCAPABILITY UNAUTHENTICATE\r\n',
  'NOOP {28}\r\nCAPABILITY UNAUTHENTICATE\r\n',
  'NOOP "é" {28+}\r\nCAPABILITY UNAUTHENTICATE\r\n',
]) {
  test(`keeps Cyrus from reading a command in ${JSON.stringify(command)}`, async () => {
    const peer = await open('clear')
    await logIn(peer, USERS.cyrus.proxied)
    peer.send(command)
    await peer.expectUntil(/^BYE /)
    await peer.expectClose()
  })
}

test('answers TRYLATER for a store that is down, and for a store without ManageSieve', async () => {
  const peer = await open('starttls')
  assert.match(await logIn(peer, 'down@example.test'), /^NO \(TRYLATER\) /)
  assert.match(await logIn(peer, 'mail@example.test'), /^NO \(TRYLATER\/NORETRY\) /)
  assert.match(await logIn(peer, USERS.dovecot.proxied), /^OK /)
})

test('check names the back end that has no ManageSieve port, and explain the missing port', async () => {
  const check = await run(NODE_OF_COMMAND[0]!, [...NODE_OF_COMMAND.slice(1), MAIN, 'check', '-c', mailmux.configFile])
  assert.equal(check.code, 0)
  assert.match(check.stdout + check.stderr, /no port for managesieve at mail-only/)
  const explain = await run(NODE_OF_COMMAND[0]!, [
    ...NODE_OF_COMMAND.slice(1),
    ...[MAIN, 'explain', USERS.cyrus.proxied, '--protocol', 'managesieve', '-c', mailmux.configFile],
  ])
  assert.equal(explain.code, 0, explain.stderr)
  assert.match(explain.stdout, /cyrus/)
})

test('counts its logins and sessions under its own name', async () => {
  const text = await mailmux.metrics()
  assert.match(text, /mailmux_logins_total\{protocol="managesieve",mechanism="PLAIN",outcome="accepted"\} \d/)
  assert.match(text, /mailmux_backend_addresses\{backend="dovecot",protocol="managesieve",state="up"\} 1/)
})

test('ends an idle session with BYE at a stop', async () => {
  const peer = await open('starttls')
  await logIn(peer, USERS.dovecot.proxied)
  const stopped = mailmux.stop()
  await peer.expect(/^BYE \(TRYLATER\) /)
  await peer.expectClose()
  await stopped
})
