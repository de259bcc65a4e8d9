/** An auth server over real sockets: what is asked of it and how often, and what becomes of one that is late, odd or away. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import net, { type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { AuthHttpSettings } from '../../../../src/config/settings.ts'
import type { Log } from '../../../../src/log.ts'
import { asOctets } from '../../../../src/octets.ts'
import { openAuthHttpDirectory } from '../../../../src/directory/auth-http/auth-http-directory.ts'
import type { DirectoryAnswer, LoginFacts } from '../../../../src/directory/directory.ts'
import type { RouteStep } from '../../../../src/directory/trace.ts'
import { Secret } from '../../../../src/secret.ts'
import { makeAuthority } from '../../../support/certificates.ts'
import { backends, facts, settings } from './fixture.ts'

type Opened = {
  ask: (over?: Partial<LoginFacts>) => Promise<DirectoryAnswer>
  /** with whether they were told of as errors */
  log: string[]
  ups: boolean[]
}

function open(t: TestContext, port: number, over: Partial<AuthHttpSettings> = {}): Opened {
  const log: string[] = []
  const ups: boolean[] = []
  const say = (level: string) => (fields: { cause: string } | string, text?: string) =>
    void log.push(typeof fields === 'string' ? `${level} ${fields}` : `${level} ${text}: ${fields.cause}`)
  const told = { info: say('info'), error: say('error') } as unknown as Log
  const url = new URL(`http://127.0.0.1:${port}/auth?a=1`)
  const directory = openAuthHttpDirectory(settings({ url, ...over }), told, (up) => ups.push(up))
  t.after(() => directory.close())
  const ask = (asked?: Partial<LoginFacts>) =>
    directory.lookup('alice@example.test', undefined, { facts: () => facts(asked), backends: backends() })
  return { ask, log, ups }
}

type Handler = (request: http.IncomingMessage, response: http.ServerResponse) => void

async function listen(t: TestContext, server: net.Server): Promise<number> {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket) => sockets.add(socket))
  server.listen({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  t.after(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}

const serve = (t: TestContext, handler: Handler): Promise<number> => listen(t, http.createServer(handler))

const OK = { 'Auth-Status': 'OK', 'Auth-Server': '10.0.0.2', 'Auth-Port': '143' }
const yes: Handler = (_request, response) => response.writeHead(200, OK).end('a page')

/** A server that answers each connection with these bytes, whatever it is asked. */
const answering = (t: TestContext, bytes: string): Promise<number> =>
  listen(
    t,
    net.createServer((socket) => {
      socket.on('error', () => undefined)
      socket.once('data', () => socket.write(bytes))
    }),
  )

test('asks at the url, and gives the back end that the answer means', async (t) => {
  const asked: unknown[] = []
  const port = await serve(t, (request, response) => {
    asked.push([request.method, request.url, request.headers['auth-user'], request.headers['auth-pass']])
    yes(request, response)
  })
  const { ask, log, ups } = open(t, port)
  assert.deepEqual(await ask(), {
    entry: { backend: 'store2', login: undefined, status: 'active' },
    source: 'directory',
  })
  assert.deepEqual(asked, [['GET', '/auth?a=1', 'alice@example.test', 'secret']])
  assert.deepEqual([log, ups], [['info directory connected'], [true, true]])
})

test('asks anew for each login, each time over a new connection', async (t) => {
  const connections = new Set<unknown>()
  const attempts: unknown[] = []
  const port = await serve(t, (request, response) => {
    connections.add(request.socket)
    attempts.push(request.headers['auth-login-attempt'])
    yes(request, response)
  })
  const { ask, log } = open(t, port)
  for (const attempt of [1, 2, 3]) await ask({ attempt })
  assert.deepEqual(attempts, ['1', '2', '3'])
  assert.equal(connections.size, 3)
  assert.deepEqual(log, ['info directory connected'])
})

test('passes on a refusal with its text, its delay and whether it is the last', async (t) => {
  const answers = [{ 'Auth-Wait': '3' }, {}]
  const port = await serve(t, (_request, response) =>
    response.writeHead(200, { 'Auth-Status': 'Invalid login', ...answers.shift() }).end(),
  )
  const { ask } = open(t, port)
  const refusal = { reason: 'authentication-failed', detail: 'the auth server says "Invalid login"' }
  const answer = { entry: undefined, source: 'directory' }
  assert.deepEqual(await ask(), { ...answer, refusal: { ...refusal, waitMs: 3000, last: false } })
  assert.deepEqual(await ask(), { ...answer, refusal: { ...refusal, waitMs: 0, last: true } })
})

test('passes on the name and the password of the answer', async (t) => {
  const port = await serve(t, (_request, response) =>
    response.writeHead(200, { ...OK, 'Auth-User': 'a1', 'Auth-Pass': 'other' }).end(),
  )
  for (const over of [{}, { proof: { kind: 'certificate' } as const }]) {
    const { entry } = await open(t, port).ask(over)
    assert.deepEqual([entry?.login, entry?.password?.reveal()], ['a1', 'other'])
  }
})

// In place of a password that nobody has looked at it would let everybody in.
test('refuses a password in the answer if the request had none', async (t) => {
  const port = await serve(t, (_request, response) => response.writeHead(200, { ...OK, 'Auth-Pass': 'other' }).end())
  const relayed = { proof: { kind: 'relayed', mechanism: 'XOAUTH2' } } as const
  await assert.rejects(open(t, port, { sendPassword: false }).ask(), { code: 'route-invalid' })
  await assert.rejects(open(t, port).ask(relayed), { code: 'route-invalid' })
})

test('sends no request if one user acts for another with a password of its own', async (t) => {
  let asked = 0
  const port = await serve(t, (request, response) => {
    asked++
    yes(request, response)
  })
  const acting = { proof: { kind: 'password', password: undefined } } as const
  const { refusal } = await open(t, port).ask(acting)
  assert.equal(refusal?.reason, 'authorization-failed')
  assert.equal(asked, 0)
  const { entry } = await open(t, port, { sendPassword: false }).ask(acting)
  assert.equal(entry?.backend, 'store2')
})

test('is not asked without a login', async (t) => {
  const port = await serve(t, () => assert.fail('asked'))
  const directory = openAuthHttpDirectory(
    settings({ url: new URL(`http://127.0.0.1:${port}/`) }),
    {} as Log,
    () => undefined,
  )
  const steps: RouteStep[] = []
  await assert.rejects(
    directory.lookup('alice', (step) => steps.push(step)),
    { code: 'directory-unavailable' },
  )
  assert.deepEqual(
    steps.map(({ asked, outcome }) => [asked, outcome]),
    [['directory', 'unavailable']],
  )
})

test('asks again after the time that a WAIT names', async (t) => {
  const answers = [{ 'Auth-Status': 'WAIT' }, { 'Auth-Status': 'WAIT', 'Auth-Wait': '1' }, OK]
  const port = await serve(t, (_request, response) => response.writeHead(200, answers.shift()).end())
  const { ask } = open(t, port, { timeoutMs: 10_000 })
  assert.equal((await ask()).entry?.backend, 'store2')
  assert.equal(answers.length, 0)
})

test('waits no longer for a WAIT than for an answer', async (t) => {
  let asked = 0
  const port = await serve(t, (_request, response) => {
    asked++
    response.writeHead(200, { 'Auth-Status': 'WAIT', 'Auth-Wait': '5' }).end()
  })
  const { ask, log } = open(t, port)
  await assert.rejects(ask(), { code: 'directory-unavailable', message: /says WAIT/ })
  assert.equal(asked, 1)
  assert.deepEqual(log, ['info directory connected']) // it has answered
})

const AWAY = /^the auth server cannot be asked: /

test('takes a lack of descriptors or local ports for its own shortage, and for no outage', async () => {
  for (const code of ['EMFILE', 'ENFILE', 'ENOBUFS', 'ENOMEM', 'EADDRNOTAVAIL']) {
    const ups: boolean[] = []
    const sender = {
      ask: () => Promise.reject(Object.assign(new Error(code), { code })),
      connect: () => Promise.resolve(),
      close: () => undefined,
    }
    const directory = openAuthHttpDirectory(settings(), {} as Log, (up) => ups.push(up), sender)
    await assert.rejects(directory.lookup('alice', undefined, { facts: () => facts(), backends: backends() }), {
      code: 'local-shortage',
      message: `the auth server cannot be asked: ${code}`,
    })
    assert.deepEqual(ups, [true])
  }
})

test('is unavailable if the port is closed, and logs the outage and its end once', async (t) => {
  const server = net.createServer()
  const port = await listen(t, server)
  server.close()
  await once(server, 'close')
  const { ask, log, ups } = open(t, port)
  for (let i = 0; i < 3; i++) await assert.rejects(ask(), { code: 'directory-unavailable', message: AWAY })
  const back = http.createServer(yes)
  back.listen({ host: '127.0.0.1', port })
  await once(back, 'listening')
  t.after(() => {
    back.close()
    back.closeAllConnections()
  })
  await ask()
  const away = 'error directory unavailable: the auth server cannot be asked: ECONNREFUSED'
  assert.deepEqual(log, [away, 'info directory connected'])
  assert.deepEqual(ups, [true, false, false, false, true])
})

test('removes a password that the server repeats', async (t) => {
  const password = new Secret(asOctets('s3"cret pass'))
  for (const repeated of ['s3"cret pass', 's3"cret%20pass']) {
    const port = await serve(t, (_request, response) =>
      response.writeHead(200, { 'Auth-Status': `wrong password ${repeated}` }).end(),
    )
    const { refusal } = await open(t, port, { sendPassword: true }).ask({ proof: { kind: 'password', password } })
    assert.equal(refusal?.reason, 'authentication-failed')
    assert.doesNotMatch(refusal.detail, /cret/)
  }
})

// A client chooses its password: what a server says of the size or the form of one question is no outage.
for (const status of [400, 414, 431])
  test(`fails one login, and not the directory, where the answer is ${status} without Auth-Status`, async (t) => {
    const port = await serve(t, (request, response) =>
      response
        .writeHead(
          request.headers['auth-login-attempt'] === '2' ? status : 200,
          request.headers['auth-login-attempt'] === '2' ? {} : OK,
        )
        .end(),
    )
    const { ask, log, ups } = open(t, port)
    await ask()
    await assert.rejects(ask({ attempt: 2 }), {
      code: 'directory-unavailable',
      message: `the auth server rejects the question of this login with status ${status}`,
    })
    await ask()
    assert.deepEqual(log, ['info directory connected'])
    assert.ok(!ups.includes(false))
  })

for (const [what, over] of Object.entries({
  'password of 3,000 percent signs': { proof: { kind: 'password', password: new Secret(asOctets('%'.repeat(3000))) } },
  'password of 8,000 letters': { proof: { kind: 'password', password: new Secret(asOctets('x'.repeat(8000))) } },
} satisfies Record<string, Partial<LoginFacts>>))
  test(`refuses a ${what} as a wrong one, and asks nothing`, async (t) => {
    const port = await serve(t, () => assert.fail('asked'))
    const { ask, log, ups } = open(t, port)
    const { entry, refusal } = await ask(over)
    assert.equal(entry, undefined)
    assert.deepEqual(
      { ...refusal, detail: refusal?.detail.replace(/\d+/, 'N') },
      {
        reason: 'authentication-failed',
        detail: 'the question for the auth server would have a header auth-pass of N octets, and 8000 is the limit',
        waitMs: 0,
        last: false,
      },
    )
    assert.deepEqual([log, ups], [[], [true]])
  })

const hang: Handler = () => undefined
test('is unavailable once the time is up', async (t) => {
  const port = await serve(t, hang)
  const { ask } = open(t, port, { timeoutMs: 50 })
  await assert.rejects(ask(), {
    code: 'directory-unavailable',
    message: 'no answer of the auth server within 50 ms',
  })
})

test('is unavailable once the time is up in the middle of a header', async (t) => {
  const port = await answering(t, 'HTTP/1.1 200 OK\r\nAuth-Status: OK\r\nAuth-Ser')
  await assert.rejects(open(t, port, { timeoutMs: 50 }).ask(), { message: /within 50 ms/ })
})

test('has its answer without the end of the body', async (t) => {
  const port = await serve(t, (_request, response) => {
    response.writeHead(200, OK)
    response.write('x')
  })
  assert.equal((await open(t, port).ask()).entry?.backend, 'store2')
})

test('gives the connection up rather than read a body without end', async (t) => {
  const gone = Promise.withResolvers<undefined>()
  const port = await serve(t, (request, response) => {
    request.socket.once('close', () => gone.resolve(undefined))
    response.writeHead(200, OK)
    const more = (): void => {
      while (!response.destroyed && response.write('x'.repeat(16_384)));
    }
    response.on('drain', more)
    more()
  })
  assert.equal((await open(t, port).ask()).entry?.backend, 'store2')
  await gone.promise
})

const HOSTILE: Record<string, string> = {
  'no HTTP': '* OK IMAP4rev1 ready\r\n',
  'a status line alone': 'HTTP/1.1 200 OK\r\n\r\n',
  'headers without end': `HTTP/1.1 200 OK\r\n${'X-A: b\r\n'.repeat(5000)}`,
  'one header without end': `HTTP/1.1 200 OK\r\nAuth-Status: ${'x'.repeat(100_000)}`,
  'a control character in a header': 'HTTP/1.1 200 OK\r\nAuth-Status: O\0K\r\n\r\n',
  'a redirect': 'HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nAuth-Status: OK\r\nContent-Length: 0\r\n\r\n',
  'another protocol': 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n',
  'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
  'two verdicts': 'HTTP/1.1 200 OK\r\nAuth-Status: no\r\nAuth-Status: OK\r\nContent-Length: 0\r\n\r\n',
  'a failure with OK': `HTTP/1.1 500 Oops\r\nAuth-Status: OK\r\nAuth-Server: 10.0.0.2\r\nAuth-Port: 143\r\nContent-Length: 0\r\n\r\n`,
}
for (const [what, bytes] of Object.entries(HOSTILE))
  test(`is unavailable where the answer is ${what}`, async (t) => {
    const { ask } = open(t, await answering(t, bytes))
    await assert.rejects(ask(), { name: 'MuxError', code: 'directory-unavailable' })
  })

test('takes an answer in HTTP/1.0 that ends with the connection', async (t) => {
  const head = 'HTTP/1.0 200 OK\r\nAuth-Status: OK\r\nAuth-Server: 10.0.0.2\r\nAuth-Port: 143\r\n\r\n'
  const port = await listen(
    t,
    net.createServer((socket) => socket.once('data', () => socket.end(head))),
  )
  const { ask } = open(t, port)
  for (let i = 0; i < 3; i++) assert.equal((await ask()).entry?.backend, 'store2')
})

test('does not ask twice where the connection is closed under the question', async (t) => {
  let asked = 0
  const port = await listen(
    t,
    net.createServer((socket) =>
      socket.once('data', () => {
        asked++
        socket.resetAndDestroy()
      }),
    ),
  )
  await assert.rejects(open(t, port).ask(), { code: 'directory-unavailable', message: /ECONNRESET/ })
  assert.equal(asked, 1)
})

test('trusts an https server only by its CA and its name', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'mailmux-auth-'))
  t.after(() => rmSync(directory, { recursive: true }))
  const authority = await makeAuthority(directory)
  const good = await authority.issue('good')
  const wrong = await authority.issue('wrong', { names: ['DNS:other.test'] })
  let asked = 0
  const handler: Handler = (request, response) => {
    asked++
    yes(request, response)
  }
  const port = await listen(t, https.createServer(good, handler))
  const elsewhere = await listen(t, https.createServer(wrong, handler))
  const url = (at: number) => new URL(`https://localhost:${at}/auth`)
  const ca = readFileSync(authority.caFile, 'utf8')

  assert.equal((await open(t, port, { url: url(port), ca }).ask()).entry?.backend, 'store2')
  assert.equal(asked, 1)
  await assert.rejects(open(t, port, { url: url(port) }).ask(), {
    message: /UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED/,
  })
  await assert.rejects(open(t, port, { url: url(elsewhere), ca }).ask(), { message: /ERR_TLS_CERT_ALTNAME_INVALID/ })
  assert.equal(asked, 1)
})
