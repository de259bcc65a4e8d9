/**
 * The load generator: a child process that carries out orders one after the other. A closed loop: each connection sends its next
 * operation when the last one is answered, so a slow proxy is asked less often (README.md says what that hides).
 */
import { readFileSync } from 'node:fs'
import { createHistogram, performance } from 'node:perf_hooks'
import { createSecureContext, type SecureContext } from 'node:tls'
import { openSession, type Session, type Target } from './client.ts'
import type { Entry, LoadAnswer, LoadFigures, Operation, Order } from './load-orders.ts'
import { MESSAGE, PASSWORD, userName } from './message.ts'

/** Logins under way at once while sessions are being opened: many enough that nginx's waits (workloads.ts) do not add up. */
const OPENING_AT_ONCE = 64
/** An operation that takes this much longer than its run is a proxy that has stalled, */
const STALLED_AFTER_S = 15
/** and so is one that opens fewer sessions a second than this, a tenth of what the slowest one does. */
const SLOWEST_OPENING = 20

let sessions: Session[] = []
let users = 0

/**
 * X25519 comes first: Node's client would offer a post-quantum group, which mailmux's OpenSSL would take and Debian's nginx cannot.
 * perdition knows P-256 alone.
 */
function buildSecureContext(certificateFile: string): SecureContext {
  return createSecureContext({ ca: readFileSync(certificateFile), minVersion: 'TLSv1.3', ecdhCurve: 'X25519:P-256' })
}

async function logIn(target: Target, password = PASSWORD): Promise<Session> {
  const session = await openSession(target)
  const user = userName(++users % userCount)
  if (target.protocol === 'imap') {
    await session.command(`LOGIN ${user} ${password}`)
  } else {
    await session.command(`USER ${user}`)
    await session.command(`PASS ${password}`)
  }
  return session
}

async function logOut(session: Session, { protocol }: Target): Promise<void> {
  await session.command(protocol === 'imap' ? 'LOGOUT' : 'QUIT')
  await session.closed
}

async function open(target: Target, count: number): Promise<void> {
  let left = count
  const openSome = async (): Promise<void> => {
    while (left-- > 0) {
      const session = await logIn(target)
      sessions.push(session)
      if (target.protocol === 'imap') await session.command('SELECT INBOX')
    }
  }
  await Promise.all(Array.from({ length: OPENING_AT_ONCE }, openSome))
}

/** Throws unless the peer is a proxy that hands over both the login and what comes after it. */
async function prove(target: Target): Promise<void> {
  const session = await logIn(target)
  if (target.protocol === 'imap') {
    await session.command('SELECT INBOX')
    await session.command(FETCH)
    const bytes = session.literalBytes()
    if (bytes < MESSAGE.length) throw new Error(`a message of ${MESSAGE.length} bytes came as ${bytes}`)
  }
  await logOut(session, target)
  const refused = await logIn(target, 'wrong').then(
    (intruder) => intruder.destroy(),
    () => 'refused' as const,
  )
  if (refused !== 'refused') throw new Error('a wrong password was accepted')
}

/** The newest message: the sink has one, a real store one more for each user. */
const FETCH = 'FETCH * BODY.PEEK[]'

/** One operation that needs an open session. */
function once(operation: Exclude<Operation, 'login'>, session: Session): Promise<void> {
  switch (operation) {
    case 'noop':
      return session.command('NOOP')
    case 'fetch':
      return session.command(FETCH)
    case 'append':
      return session.command(`APPEND INBOX {${MESSAGE.length}+}`, MESSAGE) // RFC 7888: without waiting for the go-ahead
  }
}

async function run(order: Order & { do: 'run' }, target: Target): Promise<LoadFigures> {
  const histogram = createHistogram()
  let operations = 0
  let resumed = 0
  const startedAt = performance.now()
  const until = startedAt + order.seconds * 1000

  const logInOnce = async (ticket: Buffer | undefined): Promise<Buffer | undefined> => {
    const fresh = await logIn({ ...target, ticket })
    if (fresh.resumed()) resumed++
    await logOut(fresh, target)
    return fresh.ticket() ?? ticket
  }
  const keepGoing = async (session: Session | undefined): Promise<void> => {
    let ticket = order.resume ? session?.ticket() : undefined
    let now = performance.now()
    while (now < until) {
      const sentAt = now
      if (order.operation === 'login') {
        const next = await logInOnce(ticket)
        if (order.resume) ticket = next
      } else {
        await once(order.operation, session!)
      }
      now = performance.now()
      histogram.record(Math.max(1, Math.round((now - sentAt) * 1000)))
      operations++
    }
  }
  await Promise.all(Array.from({ length: order.connections }, (_, index) => keepGoing(sessions[index])))
  const seconds = (performance.now() - startedAt) / 1000
  return { operations, seconds, p50Us: histogram.percentile(50), p99Us: histogram.percentile(99), resumed }
}

async function close(): Promise<void> {
  const closing = sessions
  sessions = []
  for (const session of closing) session.destroy()
  await Promise.all(closing.map((session) => session.closed))
}

function toTarget({ port, protocol, tls, proxyHeader }: Entry): Target {
  return { port, protocol, tls: tls ? secureContext : undefined, proxyHeader }
}

async function carryOut(order: Order): Promise<LoadAnswer> {
  switch (order.do) {
    case 'prove':
      await prove(toTarget(order))
      return { figures: undefined, handshake: undefined }
    case 'open':
      await open(toTarget(order), order.sessions)
      return { figures: undefined, handshake: sessions[0]?.handshake() }
    case 'run':
      return { figures: await run(order, toTarget(order)), handshake: undefined }
    case 'close':
      await close()
      return { figures: undefined, handshake: undefined }
  }
}

function stalled(order: Order): Promise<never> {
  const expected = order.do === 'run' ? order.seconds : order.do === 'open' ? order.sessions / SLOWEST_OPENING : 0
  const seconds = STALLED_AFTER_S + expected
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`${order.do} was not done after ${seconds} s`)), seconds * 1000).unref()
  })
}

const [certificateFile, numberOfUsers] = process.argv.slice(2)
const secureContext = buildSecureContext(certificateFile!)
const userCount = Number(numberOfUsers)
process.on('message', (order: Order) => {
  Promise.race([carryOut(order), stalled(order)]).then(
    (answer) => process.send?.({ ok: true, ...answer }),
    (cause: unknown) => process.send?.({ ok: false, error: cause instanceof Error ? cause.message : String(cause) }),
  )
})
process.on('disconnect', () => process.exit(0))
process.send?.({ ok: true })
