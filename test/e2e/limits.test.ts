/** Limits on clients, with two workers: counts are exact, networks are read again, and a guesser locks no user out. */
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { connect, type Socket } from 'node:net'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { makeAuthority } from '../support/certificates.ts'
import { READ_DEADLINE_MS, START_DEADLINE_MS, until } from '../support/deadline.ts'
import { type Mailmux, startMailmux, type YamlMap } from '../support/mailmux.ts'
import { startPasswordStore } from '../support/password-store.ts'
import { freePort } from '../support/ports.ts'
import { openScene, type Scene } from '../support/scene.ts'

let scene: Scene
let mailmux: Mailmux
const ports: Record<string, number> = {}
const open = new Set<Socket>()

before(async () => {
  scene = openScene()
  const authority = await makeAuthority(scene.directory)
  const store = await startPasswordStore(scene)
  const behindProxy = async (name: string, limits: YamlMap): Promise<YamlMap> => {
    ports[name] = await freePort()
    const listen = [`127.0.0.1:${ports[name]}`]
    const proxied = { proxy_protocol: 'required', trusted_proxies: ['127.0.0.1'], allow_plaintext_auth: true }
    return { name, protocol: 'imap', listen, tls: 'none', ...proxied, limits }
  }
  await writeFile(join(scene.directory, 'deny.txt'), '192.0.2.0/24 # at the start\n')
  mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    backends: { store1: { host: '127.0.0.1', imap: store.port } },
    domains: { 'example.test': 'store1' },
    limits: { failure_delay: '0s' },
    settings: { workers: 2 },
    listeners: [
      await behindProxy('deny', { deny_file: 'deny.txt' }),
      await behindProxy('address', { connections_per_address: 4 }),
      await behindProxy('user', { sessions_per_user: 3 }),
      await behindProxy('penalty', { penalty: { after: 2, step: '3s', most: '3s' } }),
    ],
  })
})

after(async () => {
  for (const socket of open) socket.destroy()
  await scene.close()
})

type Client = { socket: Socket; text: () => string; line: (wanted: RegExp) => Promise<string> }

function client(name: string, address: string): Client {
  const socket = connect({ port: ports[name] ?? 0, host: '127.0.0.1' })
  open.add(socket)
  let text = ''
  socket.on('error', () => undefined)
  socket.on('data', (chunk) => (text += chunk.toString('latin1')))
  socket.write(`PROXY TCP4 ${address} 198.51.100.1 4711 143\r\n`)
  const line = (wanted: RegExp): Promise<string> =>
    until(
      READ_DEADLINE_MS,
      () => text.split('\r\n').find((one) => wanted.test(one)),
      () => `no line like ${wanted.source} in: ${text}`,
    )
  return { socket, text: () => text, line }
}

async function greet(name: string, address: string): Promise<string> {
  return client(name, address).line(/^\* (OK|BYE)/)
}

async function logIn(
  name: string,
  address: string,
  user: string,
  password: string,
): Promise<Client & { answer: string }> {
  const one = client(name, address)
  await one.line(/^\* OK/)
  one.socket.write(`a LOGIN ${user}@example.test ${password}\r\n`)
  return { ...one, answer: await one.line(/^a /) }
}

async function close({ socket }: Client): Promise<void> {
  socket.destroy()
  if (!socket.closed) await once(socket, 'close')
}

test('connections of one address count over both workers, and a place is free again at the end of a connection', async () => {
  const clients = Array.from({ length: 12 }, () => client('address', '203.0.113.1'))
  const greetings = await Promise.all(clients.map(({ line }) => line(/^\* (OK|BYE)/)))
  const rejected = greetings.filter((line) => line.startsWith('* BYE'))
  assert.equal(rejected.length, 8)
  assert.equal(rejected[0], '* BYE [LIMIT] Too many connections from this address, please try again later.')
  assert.match(await greet('address', '203.0.113.2'), /^\* OK/)
  await close(clients.find((_, index) => greetings[index]?.startsWith('* OK'))!)
  await until(
    START_DEADLINE_MS,
    async () => (await greet('address', '203.0.113.1')).startsWith('* OK') || undefined,
    () => 'no place became free',
  )
  assert.match(await greet('address', '203.0.113.1'), /^\* BYE \[LIMIT\]/)
})

test('sessions of one user count over both workers, once the password was right', async () => {
  for (let n = 0; n < 6; n++)
    assert.match((await logIn('user', `203.0.113.${n}`, 'alice', 'wrong')).answer, /^a NO \[AUTHENTICATIONFAILED\]/)
  const answers = await Promise.all(
    Array.from({ length: 8 }, async (_, n) => (await logIn('user', `203.0.113.${n}`, 'alice', 'secret')).answer),
  )
  assert.equal(answers.filter((answer) => answer.startsWith('a OK')).length, 3)
  assert.equal(answers.filter((answer) => answer === 'a NO [LIMIT] Too many sessions.').length, 5)
  assert.match((await logIn('user', '203.0.113.9', 'bob', 'secret')).answer, /^a OK/)
})

test('a file of networks is read again when it changes', async () => {
  assert.match(await greet('deny', '192.0.2.7'), /^\* BYE \[CONTACTADMIN\]/)
  assert.match(await greet('deny', '198.51.100.7'), /^\* OK/)
  await writeFile(join(scene.directory, 'deny.txt'), '198.51.100.0/24\n')
  await until(
    START_DEADLINE_MS,
    async () => (await greet('deny', '198.51.100.7')).startsWith('* BYE') || undefined,
    () => 'the file was not read again',
  )
  assert.match(await greet('deny', '192.0.2.7'), /^\* OK/)
  assert.ok((await mailmux.metric('mailmux_limits_hit_total{limit="deny"}')) !== undefined)
})

test('guesses delay a guesser, and not the user at an address that has logged that user in before', async () => {
  assert.match((await logIn('penalty', '203.0.113.50', 'carol', 'secret')).answer, /^a OK/)
  for (let n = 0; n < 6; n++) await logIn('penalty', `192.0.2.${n}`, 'carol', 'wrong')
  const startedMs = performance.now()
  const guess = logIn('penalty', '192.0.2.99', 'carol', 'wrong')
  assert.match((await logIn('penalty', '203.0.113.50', 'carol', 'secret')).answer, /^a OK/)
  const { text } = await guess
  assert.match(text(), /AUTHENTICATIONFAILED/)
  assert.ok(performance.now() - startedMs >= 2900, 'the guess was answered without its delay')
  assert.ok(((await mailmux.metric('mailmux_limits_hit_total{limit="penalty"}')) ?? 0) >= 1)
})
