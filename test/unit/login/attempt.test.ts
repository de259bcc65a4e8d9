/**
 * The attempts of a login, in memory: each failure of a back end in each of the attempts, by each protocol. The real dialogue runs over a
 * wire in memory, and the time is virtual.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Slot } from '../../../src/backend/admission/slot.ts'
import { createCursor } from '../../../src/backend/endpoint/cursor.ts'
import { newHealth } from '../../../src/backend/health/health.ts'
import type { Endpoint } from '../../../src/backend/endpoint/endpoint.ts'
import type { LiveBackend } from '../../../src/backend/live-backend.ts'
import { asMuxError, MuxError, type ErrorCode } from '../../../src/errors.ts'
import { logInAtBackend } from '../../../src/login/attempt.ts'
import type { BackendWire } from '../../../src/login/login.ts'
import { Login, LoginRecord, type LoginEvent, type LoginServices, type LoginSession } from '../../../src/login/login.ts'
import { asOctets } from '../../../src/octets.ts'
import { Secret } from '../../../src/secret.ts'
import { PROTOCOL_NAMES, type ProtocolName } from '../../../src/protocol/registry.ts'
import type { World } from '../../../src/world.ts'
import { MemoryWire } from '../../support/memory-wire.ts'
import { backend } from '../backend/fixture.ts'
import { listenerSettings } from '../listener/listener-settings.ts'
import { VirtualClock } from './virtual-clock.ts'

/** What a back end does in one attempt. The same kinds as in test/e2e/failure-matrix.test.ts, which runs some of them over sockets. */
type Behaviour =
  | 'accepts'
  | 'refuses'
  | 'refused'
  | 'black hole'
  | 'reset'
  | 'hang before banner'
  | 'hang after banner'
  | 'hang in login'
  | 'bad certificate'
  | 'wrong name'
  | 'PREAUTH'
  | 'BYE'
  | 'garbage'
  | 'slow drip'
  | 'shortage'

/** What one attempt that fails so leads to. */
type Kind = {
  code: ErrorCode
  /** a further attempt may follow */
  retryable: boolean
  /** it lasts until a time limit */
  hangs: boolean
  /** counts against the address */
  isFailure: boolean
  /** the back end may have known the client */
  isOfClient?: true
}

const passing = (code: ErrorCode): Kind => ({ code, retryable: true, hangs: false, isFailure: true })
const hanging: Kind = { code: 'backend-timeout', retryable: true, hangs: true, isFailure: true }
const wrong: Kind = { code: 'backend-certificate', retryable: false, hangs: false, isFailure: true }

const KINDS: Record<Exclude<Behaviour, 'accepts' | 'refuses'>, Kind> = {
  refused: passing('backend-refused'),
  'black hole': hanging,
  reset: passing('backend-closed'),
  'hang before banner': hanging,
  'hang after banner': hanging,
  'hang in login': { ...hanging, isOfClient: true },
  'bad certificate': wrong,
  'wrong name': wrong,
  PREAUTH: passing('backend-garbage'),
  BYE: passing('backend-bye'),
  garbage: passing('backend-garbage'),
  'slow drip': hanging,
  shortage: { code: 'local-shortage', retryable: true, hangs: false, isFailure: false },
}

const GREETINGS: Record<ProtocolName, { ready: string; bye: string }> = {
  imap: { ready: '* OK ready\r\n', bye: '* BYE full\r\n' },
  pop3: { ready: '+OK ready\r\n', bye: '-ERR [SYS/TEMP] full\r\n' },
  // RFC 5804 1.7: a ManageSieve server greets with its capabilities.
  managesieve: {
    ready: '"IMPLEMENTATION" "x"\r\n"SASL" "PLAIN"\r\n"SIEVE" "fileinto"\r\nOK "ready"\r\n',
    bye: 'BYE (TRYLATER) "full"\r\n',
  },
}

/** Sent in place of the greeting. PREAUTH is of IMAP; each of the others takes it for a line that is none of its own. */
const SAID: Partial<Record<Behaviour, string>> = {
  PREAUTH: '* PREAUTH you are root\r\n',
  garbage: 'SSH-2.0\r\n',
  'slow drip': '*',
}

function kindOf(behaviour: Behaviour): Kind | undefined {
  return behaviour === 'accepts' || behaviour === 'refuses' ? undefined : KINDS[behaviour]
}

/** A connection in memory whose far end behaves in one way. */
class ScriptedWire extends MemoryWire implements Omit<BackendWire, 'detach'> {
  connected = false
  heard = 0
  closed = 0
  readonly #behaviour: Behaviour
  readonly #protocol: ProtocolName
  readonly #failed = Promise.withResolvers<never>()
  #answered = 0

  constructor(behaviour: Behaviour, protocol: ProtocolName) {
    super('backend', { secure: true })
    this.#behaviour = behaviour
    this.#protocol = protocol
    this.#failed.promise.catch(() => undefined)
  }

  async open(): Promise<void> {
    const code = kindOf(this.#behaviour)?.code
    if (code && /^(refused|shortage|reset)$/.test(this.#behaviour)) throw new MuxError(code, 'as scripted')
    if (this.#behaviour === 'black hole') await this.#failed.promise
    this.connected = true
    if (code === 'backend-certificate') throw new MuxError(code, 'as scripted')
    const { ready, bye } = GREETINGS[this.#protocol]
    if (this.#behaviour === 'hang before banner') return
    // The greeting of ManageSieve is its only answer before the login: the hang is behind the first of its lines.
    const isCutShort = this.#behaviour === 'hang after banner' && this.#protocol === 'managesieve'
    const greeting = isCutShort ? ready.slice(0, ready.indexOf('\n') + 1) : ready
    await this.send(SAID[this.#behaviour] ?? (this.#behaviour === 'BYE' ? bye : greeting))
  }

  override async readLine(...limit: Parameters<MemoryWire['readLine']>): ReturnType<MemoryWire['readLine']> {
    const line = await super.readLine(...limit)
    this.heard++
    return line
  }

  override fail(error: Error): void {
    super.fail(error)
    this.#failed.reject(error)
  }

  /** Answers each line; `hang after banner` answers none, and `hang in login` all but the login. */
  override write(text: string): void {
    super.write(text)
    if (this.#behaviour === 'hang after banner') return
    for (const line of this.written.split('\r\n').slice(this.#answered, -1)) {
      this.#answered++
      const answer = this.#answerTo(line)
      if (answer !== '') void this.send(answer)
    }
  }

  #answerTo(line: string): string {
    const isImap = this.#protocol === 'imap'
    const tag = isImap ? (line.split(' ')[0] ?? '') : ''
    if (/CAPABILITY/.test(line)) return `* CAPABILITY IMAP4rev1 AUTH=PLAIN SASL-IR\r\n${tag} OK done\r\n`
    if (line === 'CAPA') return '+OK\r\nSASL PLAIN\r\nUSER\r\n.\r\n'
    if (/^(\S+ )?ID /.test(line)) return `${tag} OK done\r\n`
    if (this.#behaviour === 'hang in login') return ''
    const isAccepted = this.#behaviour === 'accepts'
    if (this.#protocol === 'managesieve') return isAccepted ? 'OK "in"\r\n' : 'NO "no"\r\n'
    if (isImap) return isAccepted ? `${tag} OK in\r\n` : `${tag} NO [AUTHENTICATIONFAILED] no\r\n`
    return isAccepted ? '+OK in\r\n' : '-ERR [AUTH] no\r\n'
  }

  close(): void {
    this.closed++
  }
}

const BUDGET_MS = 30_000

/** One login at a back end with so many addresses, whose attempts meet these behaviours in turn. */
async function run(protocol: ProtocolName, behaviours: readonly Behaviour[], addresses: number) {
  const clock = new VirtualClock()
  const wires: ScriptedWire[] = []
  const verdicts: string[] = []
  const retried: number[] = []
  const attemptedMs: number[] = []
  const given: string[] = []
  let [reassured, slots, cursorsLeft] = [0, 0, 0]
  const endpoints = Array.from({ length: addresses }, (_, at): Endpoint => {
    const ip = `192.0.2.${at + 1}`
    const address = { host: ip, ip, port: 143, source: 'address', rank: at, weight: 1 } as const
    return { protocol, address, health: newHealth(0), provenMs: -Infinity, checkDueMs: 0 }
  })
  const live = {
    enter: () => Promise.resolve(createCursor(() => endpoints, { isTrial: false, leave: () => cursorsLeft++ })),
    succeeded: ({ address }: Endpoint) => void verdicts.push(`${address.ip} works`),
    failed: ({ address }: Endpoint, { code, client }: { code: ErrorCode; client: unknown }) =>
      void verdicts.push(`${address.ip} ${code}${client ? ' for this client' : ''}`),
  } as unknown as LiveBackend
  const keeper = {
    giveBack: (what: string) => void given.push(what),
    pause: () => undefined,
    resume: (slot: Slot) => Promise.resolve(slot),
  }
  const events = {
    wantsDetails: false,
    emit: (event: LoginEvent): void => {
      if (event.type === 'attempt-failed') retried.push(event.attempt)
    },
  }
  const services = {
    clock,
    events,
    backends: { of: () => live },
    states: { of: () => undefined },
    admissions: { isOpen: () => true, enter: () => (slots++, new Slot(keeper, undefined)) },
    dial: () => {
      const wire = new ScriptedWire(behaviours[wires.length] ?? 'refused', protocol)
      attemptedMs.push(clock.ms)
      wires.push(wire)
      return wire
    },
  } as unknown as LoginServices
  const session = {
    id: 's',
    listener: listenerSettings({ protocol }),
    connection: {
      client: { address: '192.0.2.99', port: 1 },
      local: { address: '198.51.100.1', port: 143 },
      isGone: false,
    },
    stillTrying: () => {
      reassured++
    },
  } as unknown as LoginSession
  const record = new LoginRecord(1)
  record.user = 'alice'
  const user = asOctets('alice')
  const credentials = { kind: 'password', authcid: user, password: new Secret(asOctets('secret')) } as const
  const attempt = { user, mechanism: 'PLAIN', credentials, id: new Map(), ttl: undefined, preamble: [] } as const
  const world = { settings: { limits: { backendTimeoutMs: BUDGET_MS } } } as unknown as World
  const login = new Login(session, record, attempt, world, services)
  const route = {
    backend: backend({ forwardIdentity: false }),
    source: 'static',
    login: { user, credentials, startTls: false, preamble: [], proxyHeader: false },
  } as const
  const result = await clock.until(logInAtBackend(login, route).catch(asMuxError))
  const pausesMs = attemptedMs.slice(1).map((ms, at) => ms - Number(attemptedMs[at]))
  return {
    outcome: result instanceof MuxError ? result.code : result.accepted ? 'accepted' : result.refusal.reason,
    attempts: wires.length,
    pausesMs,
    tookMs: clock.ms,
    verdicts,
    retried,
    reassured,
    given,
    slots,
    cursorsLeft,
    pending: clock.pending,
    closed: wires.map(({ closed }) => closed),
  }
}

/** Slots that were given back: each once, of a login, but for the one that has become a session. */
function checkReleases({
  given,
  slots,
  cursorsLeft,
  pending,
  closed,
  attempts,
  outcome,
}: Awaited<ReturnType<typeof run>>) {
  const accepted = outcome === 'accepted' ? 1 : 0
  assert.equal(slots, attempts, 'one slot for each attempt')
  assert.equal(given.filter((what) => what === 'login').length, slots)
  assert.equal(given.filter((what) => what === 'slot').length, slots - accepted)
  assert.equal(cursorsLeft, 1)
  assert.equal(pending, 0, 'no timer is left')
  assert.deepEqual(
    closed,
    closed.map((_, at) => (at === attempts - 1 ? 1 - accepted : 1)),
    'each connection is closed once, but for the one that is accepted',
  )
}

const ip = (at: number): string => `192.0.2.${at + 1}`

for (const protocol of PROTOCOL_NAMES) {
  for (const [name, kind] of Object.entries(KINDS) as [keyof typeof KINDS, Kind][]) {
    describe(`${name}, ${protocol}:`, () => {
      const verdict = (at: number): string[] =>
        kind.isFailure ? [`${ip(at)} ${kind.code}${kind.isOfClient ? ' for this client' : ''}`] : []

      for (const before of [0, 1, 2]) {
        test(`in attempt ${before + 1} at the only address`, async () => {
          // A failure that passes comes before it; each attempt at the same address pauses for a second.
          const behaviours: Behaviour[] = [...Array<Behaviour>(before).fill('refused'), name, 'accepts']
          const seen = await run(protocol, behaviours, 1)
          const goesOn = kind.retryable && !kind.hangs && before < 2
          assert.equal(seen.outcome, goesOn ? 'accepted' : kind.code)
          assert.equal(seen.attempts, goesOn ? before + 2 : before + 1)
          assert.deepEqual(seen.pausesMs, Array(seen.attempts - 1).fill(1000))
          assert.equal(seen.reassured, seen.pausesMs.length, 'the client is told of each pause')
          assert.deepEqual(
            seen.retried,
            seen.pausesMs.map((_, at) => at + 1),
          )
          assert.equal(seen.tookMs, kind.hangs ? BUDGET_MS : 1000 * seen.pausesMs.length)
          const first = Array<string>(before).fill(`${ip(0)} backend-refused`)
          assert.deepEqual(seen.verdicts, [...first, ...verdict(0), ...(goesOn ? [`${ip(0)} works`] : [])])
          checkReleases(seen)
        })
      }

      test('at the first of two addresses, the second of which works', async () => {
        const seen = await run(protocol, [name, 'accepts'], 2)
        // A hang in the login may be a slow refusal of the password, which must not become a second try of it.
        const goesOn = kind.retryable && name !== 'hang in login'
        assert.equal(seen.outcome, goesOn ? 'accepted' : kind.code)
        assert.equal(seen.attempts, goesOn ? 2 : 1)
        // Half of the time, but no more than five seconds, is for an address while another one is left.
        assert.deepEqual(seen.pausesMs, goesOn ? [kind.hangs ? 5000 : 0] : [])
        assert.equal(seen.reassured, 0)
        assert.deepEqual(seen.verdicts, [...verdict(0), ...(goesOn ? [`${ip(1)} works`] : [])])
        checkReleases(seen)
      })
    })
  }

  test(`a refusal of the password is the answer, ${protocol}`, async () => {
    for (const before of [0, 1, 2]) {
      const seen = await run(protocol, [...Array<Behaviour>(before).fill('refused'), 'refuses', 'accepts'], 1)
      assert.deepEqual([seen.outcome, seen.attempts], ['authentication-failed', before + 1])
      assert.equal(seen.verdicts.at(-1), `${ip(0)} works`)
      checkReleases(seen)
    }
  })
}
