/**
 * Each answer of a back end in the client's own protocol, how often a login is tried again, and the replies before a login.
 * failure-matrix.test.ts has the failures before an answer.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { after, before, describe, test } from 'node:test'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { makeAuthority } from '../support/certificates.ts'
import { type MailClient, type MailProtocol, openMailClient, type Security } from '../support/mail-client.ts'
import { type LogLine, type Mailmux, startMailmux, type YamlMap } from '../support/mailmux.ts'
import { type Redis, startRedis } from '../support/redis.ts'
import { openScene, type Scene } from '../support/scene.ts'
import type { PeerTls } from '../support/scripted-peer.ts'
import { directoryConnected } from '../support/site.ts'

const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']
const FAILURE_DELAY_MS = 700
/** Longer than three tries at a back end that answers at once. */
const BACKEND_TIMEOUT_MS = 8_000

const REPLIES = {
  wrong: { imap: 'NO [AUTHENTICATIONFAILED] Authentication failed.', pop3: '-ERR [AUTH] Authentication failed.' },
  later: {
    imap: 'NO [UNAVAILABLE] Account is temporarily unavailable.',
    pop3: '-ERR [SYS/TEMP] Account is temporarily unavailable.',
  },
  broken: {
    imap: 'NO [SERVERBUG] Account is temporarily unavailable.',
    pop3: '-ERR [SYS/PERM] Account is unavailable.',
  },
  notThatUser: { imap: 'NO [AUTHORIZATIONFAILED] Not allowed to log in as that user.', pop3: '' },
}

/**
 * What a back end does. A text is its answer to a login (IMAP's tag is added); `absent`: it has no
 * port for that protocol; `last`: what it does instead of answering the login, or instead of going on behind a greeting.
 */
type Behaviour =
  string | { greeting?: string; capability?: string; last?: 'close' | 'reset' | 'say-bye' } | { port: 'absent' }

/** `same`: the back end's own words */
type Row = [event: string, imap: Behaviour, pop3: Behaviour, reply: keyof typeof REPLIES | 'same', attempts: 1 | 3]

const ABSENT = { port: 'absent' } as const
const greets = (greeting: string, last?: 'close') => ({ greeting, ...(last && { last }) })

// RFC 5530 3, RFC 3206 4, RFC 2449 8.1
const TABLE: Row[] = [
  ['a wrong password', 'NO [AUTHENTICATIONFAILED] alice exists', '-ERR [AUTH] alice exists', 'wrong', 1],
  ['a refusal without a code', 'NO alice is known here', '-ERR alice is known here', 'wrong', 1],
  ['a refusal with a code of its own', 'NO [XFROB] alice', '-ERR [XFROB] alice', 'wrong', 1],
  ['UNAVAILABLE or SYS/TEMP', 'NO [UNAVAILABLE] db7 is down', '-ERR [SYS/TEMP] db7 is down', 'later', 3],
  ['SERVERBUG or SYS/PERM', 'NO [SERVERBUG] x.c:12', '-ERR [SYS/PERM] x.c:12', 'broken', 1],
  ['LIMIT or IN-USE', 'NO [LIMIT] Too many sessions', '-ERR [IN-USE] Mailbox is locked', 'same', 1],
  ['EXPIRED or LOGIN-DELAY', 'NO [EXPIRED] Change it', '-ERR [LOGIN-DELAY] Once a minute', 'same', 1],
  ['CONTACTADMIN or LIMIT', 'NO [CONTACTADMIN] Call us', '-ERR [LIMIT] Too many sessions', 'same', 1],
  ['an answer that is none', 'MAYBE later', 'maybe later', 'later', 3],
  ['the end of the connection at once', greets('', 'close'), greets('', 'close'), 'later', 3],
  ['the end of the connection at the login', { last: 'close' }, { last: 'close' }, 'later', 3],
  ['a reset at the login', { last: 'reset' }, { last: 'reset' }, 'later', 3],
  ['a greeting of the other protocol', greets('+OK POP3 ready'), greets('* OK IMAP4rev1 ready'), 'later', 3],
  ['a greeting of SMTP', greets('220 mail.example.test ESMTP'), greets('220 mail.example.test ESMTP'), 'later', 3],
  ['no port for IMAP', ABSENT, '-ERR [AUTH] no', 'wrong', 1],
  // without a like in POP3, where each has no port: `broken`
  ['BYE at the login', { last: 'say-bye' }, ABSENT, 'later', 3],
  ['no IMAP4rev1', { capability: 'IMAP2bis AUTH=PLAIN' }, ABSENT, 'later', 3],
  ['LOGINDISABLED', { capability: 'IMAP4rev1 LOGINDISABLED' }, ABSENT, 'broken', 1],
  ['AUTHORIZATIONFAILED', 'NO [AUTHORIZATIONFAILED] no', ABSENT, 'notThatUser', 1],
  ['PRIVACYREQUIRED', 'NO [PRIVACYREQUIRED] use TLS', ABSENT, 'broken', 1],
]

let scene: Scene
let tls: PeerTls
let mailmux: Mailmux
let redis: Redis
/** connections that a back end has had since mailmux is ready, by back end and protocol */
const connections = new Map<string, number>()

before(async () => {
  scene = openScene()
  const authority = await makeAuthority(scene.directory)
  tls = { ca: authority.ca, servername: 'mail.example.test' }
  redis = await startRedis(scene)
  const backends: Record<string, YamlMap> = {}
  for (const [index, [, imap, pop3]] of TABLE.entries()) {
    const name = `row${index}`
    const backend: YamlMap = (backends[name] = { host: '127.0.0.1', health: { check: 'none' } })
    for (const [protocol, behaviour] of Object.entries({ imap, pop3 })) {
      if (behaviour === ABSENT) continue
      backend[protocol] = await startBackend(name, protocol, behaviour)
    }
  }
  mailmux = await startMailmux(scene, {
    certificate: await authority.issue('mailmux'),
    backends,
    users: Object.fromEntries(Object.keys(backends).map((name) => [`${name}@example.test`, name])),
    directory: { redis: { url: redis.url, prefix: 'mailmux:', timeout: '500ms' } },
    limits: { backend_timeout: `${BACKEND_TIMEOUT_MS}ms`, failure_delay: `${FAILURE_DELAY_MS}ms` },
  })
  await directoryConnected(mailmux)
  connections.clear() // mailmux has asked each for its capabilities
})
after(() => scene.close())

/** Listens on a port of its own and behaves like this towards each connection. */
async function startBackend(name: string, protocol: string, behaviour: Behaviour): Promise<number> {
  const does = typeof behaviour === 'string' ? { login: behaviour } : behaviour
  const { greeting, capability, login, last } = {
    greeting: undefined,
    capability: undefined,
    last: undefined,
    login: undefined,
    ...does,
  }
  const sockets = new Set<Socket>()
  const end = (socket: Socket, tag: string) => {
    if (login !== undefined) socket.write(`${tag}${login}\r\n`)
    if (last === 'say-bye') socket.write('* BYE Restarting\r\n')
    if (last === 'close' || last === 'say-bye') socket.end()
    if (last === 'reset') socket.resetAndDestroy()
  }
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    connections.set(`${name} ${protocol}`, (connections.get(`${name} ${protocol}`) ?? 0) + 1)
    if (greeting !== '') socket.write(`${greeting ?? (protocol === 'imap' ? '* OK ready' : '+OK ready')}\r\n`)
    if (greeting !== undefined) {
      end(socket, '')
      return
    }
    createInterface({ input: socket }).on('line', (line) => {
      const [tag = '', command] = line.split(' ')
      if (tag === 'CAPA') socket.write('+OK\r\nUSER\r\nSASL PLAIN\r\n.\r\n')
      else if (tag === 'AUTH') end(socket, '')
      else if (command === 'AUTHENTICATE') end(socket, `${tag} `)
      else if (command === 'CAPABILITY')
        socket.write(`* CAPABILITY ${capability ?? 'IMAP4rev1 SASL-IR AUTH=PLAIN'}\r\n${tag} OK done\r\n`)
      else socket.end() // LOGOUT, QUIT
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  scene.closeLater(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return (server.address() as AddressInfo).port
}

function open(protocol: MailProtocol, security: Security = 'clear', localAddress?: string): Promise<MailClient> {
  const doors = { clear: `${protocol}Clear`, implicit: `${protocol}s`, starttls: protocol } as const
  const address = { port: mailmux.ports[doors[security]], ...(localAddress !== undefined && { localAddress }) }
  return openMailClient(scene, protocol, address, security, tls)
}

/** Logs in and gives every line of the answer, IMAP's without its tag. */
async function linesOf({ protocol, peer }: MailClient, user: string): Promise<string[]> {
  if (protocol === 'pop3') await peer.ask(`USER ${user}`, /^\+OK/)
  peer.send(protocol === 'imap' ? `a LOGIN ${user} tell-tale` : 'PASS tell-tale')
  const lines = await peer.expectUntil(protocol === 'imap' ? /^a / : /^/, BACKEND_TIMEOUT_MS + 20_000)
  return lines.map((line) => line.replace(/^a /, ''))
}

for (const protocol of PROTOCOLS)
  describe(`the back end's answer, ${protocol}:`, { concurrency: true }, () => {
    for (const [index, [event, imap, pop3, reply, times]] of TABLE.entries()) {
      const behaviour = { imap, pop3 }[protocol]
      const absent = behaviour === ABSENT
      const attempts = absent ? 1 : times
      const expected = absent ? REPLIES.broken[protocol] : reply === 'same' ? behaviour : REPLIES[reply][protocol]

      test(`${absent ? 'no port here' : event} (${event})`, async () => {
        const name = `row${index}`
        const client = await open(protocol)
        const lines = await linesOf(client, `${name}@example.test`)
        const waiting = protocol === 'imap' ? attempts - 1 : 0 // POP3 has no such line
        assert.deepEqual(lines, [...Array<string>(waiting).fill('* OK Still connecting to your mail store.'), expected])
        await client.peer.ask(protocol === 'imap' ? 'n NOOP' : 'NOOP', /^(n OK|\+OK)/) // it may try again
        client.peer.destroy()

        const tried = absent ? undefined : attempts
        assert.equal(connections.get(`${name} ${protocol}`), tried)
        const { session } = await mailmux.waitForLog(
          (line) => line.msg === 'login refused' && line.backend === name && line.listener === `${protocol}-none`,
          `${name} refuses by ${protocol}`,
        )
        const again = mailmux.log().filter((line) => line.msg === 'back end tried again' && line.session === session)
        assert.equal(again.length, attempts - 1)
      })
    }
  })

describe('a user', { concurrency: true }, () => {
  for (const protocol of PROTOCOLS) {
    test(`that is unknown gets the reply for a wrong password, no sooner than failure_delay, ${protocol}`, async () => {
      for (const user of ['nobody@example.test', 'row0@example.test']) {
        const client = await open(protocol)
        const started = performance.now()
        assert.deepEqual(await linesOf(client, user), [REPLIES.wrong[protocol]])
        assert.ok(performance.now() - started >= FAILURE_DELAY_MS - 1, user) // timers may be a millisecond early
        client.peer.destroy()
      }
    })

    test(`that is disabled gets a reply that says so, and a login on hold waits for the end of the hold, ${protocol}`, async () => {
      await redis.command('HSET', `mailmux:user:off-${protocol}@example.test`, 'backend', 'row0', 'status', 'disabled')
      await redis.command('HSET', `mailmux:user:held-${protocol}@example.test`, 'backend', 'row0', 'status', 'hold')
      const client = await open(protocol)
      const disabled = {
        imap: 'NO [CONTACTADMIN] This account is disabled.',
        pop3: '-ERR [AUTH] This account is disabled.',
      }
      assert.deepEqual(await linesOf(client, `off-${protocol}@example.test`), [disabled[protocol]])
      const held = `held-${protocol}@example.test`
      const answered = linesOf(client, held)
      await until(
        START_DEADLINE_MS,
        async () => {
          const response = await fetch(`http://127.0.0.1:${mailmux.ports.admin}/api/v1/sessions?user=${held}`)
          return (await response.text()).includes('"phase":"waiting"') || undefined
        },
        () => 'the login does not wait',
      )
      await redis.command('HSET', `mailmux:user:${held}`, 'status', 'disabled')
      assert.deepEqual(await answered, [disabled[protocol]])
      client.peer.destroy()
    })
  }
})

describe('a stranger', () => {
  for (const protocol of PROTOCOLS) {
    for (const security of ['starttls', 'implicit'] as const)
      for (const [host, request] of ['GET / HTTP/1.1', 'POST /mail HTTP/1.0', 'OPTIONS * HTTP/1.1'].entries())
        test(`with ${request} is hung up on without a word, ${protocol} ${security}`, async () => {
          const localAddress = `127.0.${protocol.length + security.length}.${host + 1}`
          const { peer } = await open(protocol, security, localAddress)
          peer.sendRaw(`${request}\r\nHost: mail.example.test\r\n\r\n${protocol === 'imap' ? 'a ' : ''}LOGOUT\r\n`)
          await peer.expectClose()
          const isIt = ({ cause, client, listener }: LogLine) =>
            cause === 'client-http' && client === localAddress && listener === `${protocol}-${security}`
          await mailmux.waitForLog(isIt, 'the request of HTTP')
        })

    test(`is hung up on after three commands that are none, ${protocol}`, async () => {
      const { peer } = await open(protocol)
      for (const tag of ['a', 'b', 'c'])
        await peer.ask(`${tag} FROB`, protocol === 'imap' ? `${tag} BAD Not a command before login` : /^-ERR /)
      await peer.expect(protocol === 'imap' ? '* BYE Too many invalid commands.' : '-ERR Too many invalid commands.')
      await peer.expectClose()
      await mailmux.waitForLog((line) => line.cause === 'client-too-many-bad-commands', 'three bad commands')
    })
  }

  test('that sends LOGIN without a tag gets a hint', async () => {
    const { peer } = await open('imap')
    await peer.ask('LOGIN alice secret', /^LOGIN BAD .*tag.*"a LOGIN user password"/)
    peer.destroy()
  })

  for (const tag of ['+', '{3}', '*', '"a"', 'a'.repeat(100), '\xff'])
    test(`never gets an invalid tag back: ${JSON.stringify(tag.slice(0, 9))}`, async () => {
      const { peer } = await open('imap')
      const answer = await peer.ask(`${tag} NOOP`, /^\* BAD /)
      assert.ok(tag === '*' || !answer.includes(tag), answer)
      peer.destroy()
    })

  test('who sends a password in clear is refused and warned', async () => {
    const { peer } = await openMailClient(scene, 'imap', mailmux.ports.imap, 'clear', tls)
    await peer.ask('a LOGIN alice secret', /^\* BAD \[ALERT\] /) // RFC 9051 7.1
    await peer.expect('a NO [PRIVACYREQUIRED] Passwords are accepted over TLS only.')
    peer.destroy()
    const client = await openMailClient(scene, 'pop3', mailmux.ports.pop3, 'clear', tls)
    await client.peer.ask('USER alice', '-ERR [AUTH] Passwords are accepted over TLS only.')
    client.peer.destroy()
  })
})
