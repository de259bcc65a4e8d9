/**
 * Each kind of failure of a back end once, over sockets: what the client is told, within what time, after how many attempts; and whether
 * a second address of the back end, which works, lets the user in. test/unit/login/attempt.test.ts has each kind in each attempt by each
 * protocol, in memory.
 */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Authority, makeAuthority } from '../support/certificates.ts'
import { type FaultyBackend, startBlackHole, startFaultyBackend, type Fault } from '../support/faulty-backend.ts'
import { type MailProtocol, openMailClient } from '../support/mail-client.ts'
import { type Mailmux, startMailmux, type YamlMap } from '../support/mailmux.ts'
import { freePort } from '../support/ports.ts'
import { openScene, type Scene } from '../support/scene.ts'

const PROTOCOLS: MailProtocol[] = ['imap', 'pop3']
const BUDGET_MS = 3000
/** What a loaded machine may add to a time. */
const SLACK_MS = 1500

const REPLIES = {
  later: {
    imap: 'NO [UNAVAILABLE] Account is temporarily unavailable.',
    pop3: '-ERR [SYS/TEMP] Account is temporarily unavailable.',
  },
  broken: {
    imap: 'NO [SERVERBUG] Account is temporarily unavailable.',
    pop3: '-ERR [SYS/PERM] Account is unavailable.',
  },
  in: { imap: /^OK /, pop3: /^\+OK/ },
}

type Row = {
  fault: Fault | 'refused' | 'black hole' | 'bad certificate' | 'wrong name'
  reply: 'later' | 'broken'
  code: string
  attempts: number
  /** where a second address works: let in there, after how many attempts */
  second: { reply: keyof typeof REPLIES; attempts: number }
}

/**
 * A fault that passes is tried again a second later; one that takes the whole budget is not. A wrong certificate is not worked around:
 * whoever shows it may stand in between, and its operator should hear of it before the other address fails too. A hang in the login
 * might be a slow refusal of the password, which must not become an outage.
 */
const TABLE: Row[] = [
  row('refused', 'backend-refused', 3),
  row('black hole', 'backend-timeout', 1),
  row('reset', 'backend-closed', 3),
  row('hang before banner', 'backend-timeout', 1),
  row('hang after banner', 'backend-timeout', 1),
  { ...row('hang in login', 'backend-timeout', 1), second: { reply: 'later', attempts: 1 } },
  {
    fault: 'bad certificate',
    reply: 'broken',
    code: 'backend-certificate',
    attempts: 1,
    second: { reply: 'broken', attempts: 1 },
  },
  {
    fault: 'wrong name',
    reply: 'broken',
    code: 'backend-certificate',
    attempts: 1,
    second: { reply: 'broken', attempts: 1 },
  },
  row('PREAUTH', 'backend-garbage', 3),
  row('BYE', 'backend-bye', 3),
  row('garbage', 'backend-garbage', 3),
  row('slow drip', 'backend-timeout', 1),
]

function row(fault: Row['fault'], code: string, attempts: number): Row {
  return { fault, reply: 'later', code, attempts, second: { reply: 'in', attempts: 2 } }
}

/** The kinds take turns with the protocols, and a kind meets the other protocol where a second address is left. */
const protocolOf = (index: number, alone: boolean): MailProtocol => (index % 2 === (alone ? 0 : 1) ? 'imap' : 'pop3')

/** The faulty address comes first, the one that works second. */
const FAULTY = '127.0.0.1'
const WORKING = '127.0.0.2'

let scene: Scene
let authority: Authority
let mailmux: Mailmux
const faulty = new Map<string, FaultyBackend>()
const working = new Map<string, FaultyBackend>()

before(async () => {
  scene = openScene()
  authority = await makeAuthority(scene.directory)
  const good = await authority.issue('good')
  const backends: Record<string, YamlMap> = {}
  for (const [index, { fault }] of TABLE.entries()) {
    for (const alone of [true, false]) {
      const name = nameOf(index, alone)
      const isTls = fault === 'bad certificate' || fault === 'wrong name'
      const backend: YamlMap = { host: alone ? FAULTY : [FAULTY, WORKING], health: { check: 'none' } }
      if (isTls) Object.assign(backend, { tls: 'implicit', tls_name: 'mail.example.test', ca_file: authority.caFile })
      const protocol = protocolOf(index, alone)
      const port = await startFault(`${name} ${protocol}`, protocol, fault)
      backend[protocol] = port
      if (!alone) {
        const options = { fault: 'none', host: WORKING, port, ...(isTls && { certificate: good }) } as const
        working.set(`${name} ${protocol}`, await startFaultyBackend(scene, protocol, options))
      }
      backends[name] = backend
    }
  }
  mailmux = await startMailmux(scene, {
    certificate: good,
    backends,
    users: Object.fromEntries(Object.keys(backends).map((name) => [`${name}@example.test`, name])),
    limits: { backend_timeout: `${BUDGET_MS}ms` },
  })
  for (const one of [...faulty.values(), ...working.values()]) one.forget() // each was asked for its capabilities
})
after(() => scene.close())

const nameOf = (index: number, alone: boolean): string => `row${index}${alone ? '' : 'with'}`

async function startFault(key: string, protocol: MailProtocol, fault: Row['fault']): Promise<number> {
  if (fault === 'refused') return freePort()
  if (fault === 'black hole') return startBlackHole(scene, FAULTY, await freePort())
  if (fault !== 'bad certificate' && fault !== 'wrong name') {
    const backend = await startFaultyBackend(scene, protocol, { fault, host: FAULTY, port: await freePort() })
    faulty.set(key, backend)
    return backend.port
  }
  const leaf = fault === 'bad certificate' ? { days: -1 } : { names: ['DNS:other.example.test'] }
  const certificate = await authority.issue(key.replace(/\W/g, '-'), leaf)
  const backend = await startFaultyBackend(scene, protocol, {
    fault: 'none',
    host: FAULTY,
    port: await freePort(),
    certificate,
  })
  faulty.set(key, backend)
  return backend.port
}

/** Logs in and gives the answer, how long it took and how often it was tried, by mailmux's own log. */
async function logIn(
  protocol: MailProtocol,
  name: string,
): Promise<{ answer: string; ms: number; attempts: number; code: unknown }> {
  const client = await openMailClient(scene, protocol, mailmux.ports[`${protocol}Clear`], 'clear', {})
  const { peer } = client
  const started = performance.now()
  if (protocol === 'pop3') await peer.ask(`USER ${name}`, /^\+OK/)
  peer.send(protocol === 'imap' ? `a LOGIN ${name} tell-tale` : 'PASS tell-tale')
  const lines = await peer.expectUntil(protocol === 'imap' ? /^a / : /^/, BUDGET_MS + 10_000)
  const ms = performance.now() - started
  const answer = (lines.at(-1) ?? '').replace(/^a /, '')
  peer.destroy()
  const listener = `${protocol}-none`
  const { session, code } = await mailmux.waitForLog(
    (line) =>
      (line.msg === 'login refused' || line.msg === 'session ended') &&
      line['backend'] === name &&
      line['listener'] === listener,
    `the login at ${name} by ${protocol}`,
  )
  const again = mailmux.log().filter((line) => line.msg === 'back end tried again' && line['session'] === session)
  return { answer, ms, attempts: again.length + 1, code }
}

for (const protocol of PROTOCOLS) {
  describe(`a back end that fails, ${protocol}:`, { concurrency: 4 }, () => {
    for (const [index, { fault, reply, code, attempts }] of TABLE.entries()) {
      if (protocolOf(index, true) !== protocol) continue
      test(fault, async () => {
        const name = nameOf(index, true)
        const seen = await logIn(protocol, name)
        assert.equal(seen.answer, REPLIES[reply][protocol])
        assert.ok(seen.ms < BUDGET_MS + SLACK_MS, `${seen.ms} ms`)
        assert.deepEqual([seen.attempts, seen.code], [attempts, code])
        assert.equal(faulty.get(`${name} ${protocol}`)?.connections() ?? attempts, attempts)
      })
    }
  })

  describe(`a back end with a second address, ${protocol}:`, { concurrency: 4 }, () => {
    for (const [index, { fault, second }] of TABLE.entries()) {
      if (protocolOf(index, false) !== protocol) continue
      test(`${fault} at the first: ${second.reply === 'in' ? 'lets the user in at the second' : 'is refused'}`, async () => {
        const name = nameOf(index, false)
        const seen = await logIn(protocol, name)
        const expected = REPLIES[second.reply][protocol]
        if (typeof expected === 'string') assert.equal(seen.answer, expected)
        else assert.match(seen.answer, expected)
        assert.ok(seen.ms < BUDGET_MS + SLACK_MS, `${seen.ms} ms`)
        assert.equal(seen.attempts, second.attempts)
        assert.equal(faulty.get(`${name} ${protocol}`)?.connections() ?? 1, 1)
        const wasLetIn = working.get(`${name} ${protocol}`)!
        assert.deepEqual([wasLetIn.connections(), wasLetIn.logins.length], second.reply === 'in' ? [1, 1] : [0, 0])
      })
    }
  })
}
