/** The lines that a login leaves in the log, whose fields and their order are promised to programs that read them. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readUser } from '../../../src/user-name.ts'
import { rulesWith } from '../../support/user-name.ts'
import { byPassword, openSite, startStore } from '../login/login-fixture.ts'

const REFUSED =
  'session client clientPort listener local localPort attempted user mechanism tls backend phase reason code detail ms master'
const ACCEPTED =
  'session client clientPort listener local localPort user mechanism tls cipher backend address source ms master'

const namesOf = (line: object): string =>
  Object.keys(line)
    .filter((name) => name !== 'level' && name !== 'message')
    .join(' ')

test('an accepted login leaves a line at once, with who, from where, how and whereto', async (t) => {
  const port = await startStore(t, (line, say) => say(`${line.split(' ')[0]} OK done`))
  const site = openSite(t, port)
  const conn = site.connect()
  const { connection } = conn
  connection.local = { address: '198.51.100.7', port: 993 }
  connection.tlsVersion = 'TLSv1.3'
  connection.cipher = 'TLS_AES_256_GCM_SHA384'
  const outcome = await site.login(conn, byPassword('alice'))
  assert.ok(outcome.accepted)
  outcome.backend.close()
  const line = site.lines.find(({ message }) => message === 'login accepted')
  assert.ok(line)
  assert.equal(namesOf(line), ACCEPTED)
  const { ms, ...fields } = line
  assert.equal(typeof ms, 'number')
  assert.deepEqual(fields, {
    level: 'info',
    message: 'login accepted',
    session: 's',
    client: '192.0.2.1',
    clientPort: 4711,
    listener: conn.listener.name,
    local: '198.51.100.7',
    localPort: 993,
    user: 'alice',
    mechanism: 'PLAIN',
    tls: 'TLSv1.3',
    cipher: 'TLS_AES_256_GCM_SHA384',
    backend: 'store-1',
    address: `127.0.0.1:${port}`,
    source: 'static',
    master: undefined,
  })
})

test('a refused login leaves the attempted name, with its fields in the promised order', async (t) => {
  const port = await startStore(t, (line, say) => say(`${line.split(' ')[0]} NO [AUTHENTICATIONFAILED] wrong`))
  const site = openSite(t, port)
  for (const [user, attempted] of [
    ['alice', 'alice'],
    ['nobody', 'nobody'],
    ['j\xc3\xbcrgen', 'jürgen'],
    ['\x1b[2J\xe2\x80\xae\xff', '\\u{1b}[2J\\xe2\\x80\\xae\\xff'],
    [`"client":"${'x'.repeat(9000)}`, `"client":"${'x'.repeat(118)}…`],
  ] as const) {
    const { accepted } = await site.login(site.connect(), byPassword(user))
    assert.equal(accepted, false)
    const line = site.lines.findLast(({ message }) => message === 'login refused')
    assert.equal(line?.['attempted'], attempted)
    assert.equal(namesOf(line), REFUSED)
  }
})

test('both lines end with the master user who logs in for the user', async (t) => {
  const said: string[] = []
  const port = await startStore(t, (line, say) => {
    const [tag = ''] = line.split(' ')
    say(said.push(line) === 1 ? `${tag} OK done` : `${tag} NO [AUTHENTICATIONFAILED] wrong`)
  })
  const site = openSite(t, port, {}, (name) => {
    const read = readUser(name, rulesWith({ masterSeparator: '*' }))
    assert.ok(read)
    return read
  })
  const accepted = await site.login(site.connect(), byPassword('alice*admin'))
  assert.ok(accepted.accepted)
  accepted.backend.close()
  await site.login(site.connect(), byPassword('alice*admin'))
  for (const [message, names] of [
    ['login accepted', ACCEPTED],
    ['login refused', REFUSED],
  ] as const) {
    const line = site.lines.find((one) => one.message === message)
    assert.ok(line)
    assert.equal(namesOf(line), names)
    assert.deepEqual([line['user'], line['master']], ['alice', 'admin'])
  }
  const plain = Buffer.from('\0alice*admin\0secret').toString('base64')
  assert.deepEqual(
    said.map((line) => line.split(' ').at(-1)),
    [plain, plain],
  )
})

test('docs/logs.md has the fields of both lines in their order', () => {
  const page = readFileSync(join(import.meta.dirname, '../../../docs/logs.md'), 'utf8')
  for (const names of [REFUSED, ACCEPTED])
    assert.ok(
      page.includes(
        names
          .split(' ')
          .map((name) => `\`${name}\``)
          .join(', '),
      ),
      names,
    )
})

test('debug has the phases, the route and the answers of each attempt, and no secret', async (t) => {
  const port = await startStore(t, (line, say) => say(`${line.split(' ')[0]} NO [AUTHENTICATIONFAILED] not today`))
  const site = openSite(t, port)
  const debug = (): unknown[] => site.lines.filter(({ level }) => level === 'debug').map(({ message }) => message)
  await site.login(site.connect(), byPassword('alice'))
  assert.deepEqual(debug(), [], 'nothing is put together where debug is off')

  Object.assign(site.log, { isLevelEnabled: () => true })
  const conn = site.connect()
  await site.login(conn, byPassword('alice'))
  const lines = site.lines.filter(({ level }) => level === 'debug')
  assert.deepEqual(
    lines.map(({ message, phase }) => phase ?? message),
    ['session begins', 'routing', 'route decided', 'connecting', 'replaying-login', 'back end answered'],
  )
  assert.deepEqual([lines[2]?.['backend'], lines[2]?.['source']], ['store-1', 'static'])
  assert.ok(lines[5])
  const { accepted, address, attempt, reason, detail } = lines[5]
  assert.deepEqual([accepted, address, attempt, reason], [false, `127.0.0.1:${port}`, 1, 'authentication-failed'])
  assert.match(String(detail), /not today/)
  assert.doesNotMatch(JSON.stringify(lines), /secret|c2VjcmV0/)
  assert.ok(lines.every(({ session }) => session === 's'))

  const before = site.lines.length
  await site.login(conn, byPassword('nobody'))
  assert.equal(
    site.lines.slice(before).find(({ message }) => message === 'route decided')?.['reason'],
    'authentication-failed',
  )
})

test('debug has one line for a phase that is set twice, and another when the phase comes again', (t) => {
  const site = openSite(t, 1)
  Object.assign(site.log, { isLevelEnabled: () => true })
  const conn = site.connect()
  const phases = ['tls', 'login', 'login', 'routing', 'login'] as const
  for (const phase of phases) conn.phase = phase
  assert.deepEqual(
    site.lines.flatMap(({ phase }) => phase ?? []),
    ['tls', 'login', 'routing', 'login'],
  )
})
