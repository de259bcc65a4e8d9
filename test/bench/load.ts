/**
 * The load generator: a child process that carries out orders one after the other. A closed loop: each connection sends its next
 * operation when the last one is answered, so a slow proxy is asked less often (README.md says what that hides).
 */
import { readFileSync } from 'node:fs'
import { createHistogram, performance } from 'node:perf_hooks'
import { createSecureContext, type SecureContext } from 'node:tls'
import { openSession, type Session, type Target } from './imap-client.ts'
import { type LoadAnswer, type Operation, type Order, USERS } from './load-orders.ts'

/** Logins under way at once while sessions are being opened: many enough that nginx's waits (workloads.ts) do not add up. */
const OPENING_AT_ONCE = 64
/** An operation that takes this much longer than its run is a proxy that has stalled. */
const STALLED_AFTER_S = 15

let sessions: Session[] = []
let users = 0

/** X25519 is pinned: Node's client offers a post-quantum group first, which mailmux's OpenSSL would take and Debian's nginx cannot. */
function buildSecureContext(certificateFile: string): SecureContext {
  return createSecureContext({ ca: readFileSync(certificateFile), minVersion: 'TLSv1.3', ecdhCurve: 'X25519' })
}

async function logIn(target: Target): Promise<Session> {
  const session = await openSession(target)
  await session.command(`LOGIN user${++users % USERS}@example.test secret`)
  return session
}

async function open(target: Target, count: number): Promise<void> {
  let left = count
  const openSome = async (): Promise<void> => {
    while (left-- > 0) sessions.push(await logIn(target))
  }
  await Promise.all(Array.from({ length: OPENING_AT_ONCE }, openSome))
}

function once(operation: Operation, target: Target, session: Session | undefined): Promise<void> {
  switch (operation) {
    case 'login':
      return logIn(target).then(async (fresh) => {
        await fresh.command('LOGOUT')
        await fresh.closed
      })
    case 'noop':
      return session!.command('NOOP')
    case 'fetch':
      return session!.command('FETCH 1 BODY[]')
  }
}

async function run(order: Order & { do: 'run' }, target: Target): Promise<LoadAnswer['figures']> {
  const histogram = createHistogram()
  let operations = 0
  const startedAt = performance.now()
  const until = startedAt + order.seconds * 1000
  const keepGoing = async (session: Session | undefined): Promise<void> => {
    let now = performance.now()
    while (now < until) {
      const sentAt = now
      await once(order.operation, target, session)
      now = performance.now()
      histogram.record(Math.max(1, Math.round((now - sentAt) * 1000)))
      operations++
    }
  }
  await Promise.all(Array.from({ length: order.connections }, (_, index) => keepGoing(sessions[index])))
  const seconds = (performance.now() - startedAt) / 1000
  return { operations, seconds, p50Us: histogram.percentile(50), p99Us: histogram.percentile(99) }
}

async function close(): Promise<void> {
  const closing = sessions
  sessions = []
  for (const session of closing) session.destroy()
  await Promise.all(closing.map((session) => session.closed))
}

async function carryOut(order: Order, secureContext: SecureContext): Promise<LoadAnswer> {
  if (order.do === 'close') {
    await close()
    return { figures: undefined, handshake: undefined }
  }
  const target = { port: order.port, tls: order.tls ? secureContext : undefined }
  if (order.do === 'open') await open(target, order.sessions)
  const figures = order.do === 'run' ? await run(order, target) : undefined
  return { figures, handshake: sessions[0]?.handshake() }
}

function stalled(order: Order): Promise<never> {
  const seconds = STALLED_AFTER_S + (order.do === 'run' ? order.seconds : 0)
  return new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`${order.do} was not done after ${seconds} s`)), seconds * 1000).unref()
  })
}

const secureContext = buildSecureContext(process.argv[2]!)
process.on('message', (order: Order) => {
  Promise.race([carryOut(order, secureContext), stalled(order)]).then(
    (answer) => process.send?.({ ok: true, ...answer }),
    (cause: unknown) => process.send?.({ ok: false, error: cause instanceof Error ? cause.message : String(cause) }),
  )
})
process.on('disconnect', () => process.exit(0))
process.send?.({ ok: true })
