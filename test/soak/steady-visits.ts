/** Who comes in a steady load, each as one function: a visit from the connection to its end. A visit rejects where it was served wrongly. */
import { connect } from 'node:net'
import { setTimeout as pass } from 'node:timers/promises'
import type { SecureContext } from 'node:tls'
import { openSession, type Session, type Target } from '../bench/client.ts'
import { MESSAGE, PASSWORD, userName } from '../bench/message.ts'
import { between, pick } from '../support/random.ts'

/** Of the sink, which has two names among the back ends, and of Dovecot. Each has a route in Redis. */
export const SINK_USERS = 1000
export const STORE_USERS = 50
export const sinkUser = userName
export const storeUser = (number: number): string => `reader-${userName(number)}`

export type Doors = {
  imapClear: number
  imaps: number
  pop3Clear: number
  pop3s: number
  /** what clients trust */
  tls: SecureContext
}

export type Visit = {
  doors: Doors
  random: () => number
  /** how long those stay who come to stay */
  stayMs: number
  /** aborted when the run is over: who stays for long leaves then */
  over: AbortSignal
}

export type Kind = {
  name: string
  perSecond: number
  visit: (visit: Visit) => Promise<void>
}

const FETCH = 'FETCH * BODY.PEEK[]'
/** What a slow reader asks for, more than the kernel's buffers hold, and how much of it he takes ten times a second. */
const SLOW_MESSAGES = 20
const SLOW_SLICE = 100 * 1024

const imapClear = ({ imapClear: port }: Doors): Target => ({ port, protocol: 'imap', tls: undefined })
const imaps = ({ imaps: port, tls }: Doors): Target => ({ port, protocol: 'imap', tls })
const pop3Clear = ({ pop3Clear: port }: Doors): Target => ({ port, protocol: 'pop3', tls: undefined })
const pop3s = ({ pop3s: port, tls }: Doors): Target => ({ port, protocol: 'pop3', tls })

/**
 * Everybody who comes, and how often. Most go to the sink; a Dovecot starts a process for each. So many short looks that what each session
 * may leave behind adds up to more than V8 takes for code that it goes on compiling.
 */
export const KINDS: readonly Kind[] = [
  { name: 'IMAP, a short look', perSecond: 230, visit: (visit) => look(imapClear(visit.doors), visit) },
  { name: 'POP3, a short look', perSecond: 160, visit: (visit) => look(pop3Clear(visit.doors), visit) },
  { name: 'IMAP in TLS, a short look', perSecond: 10, visit: (visit) => look(imaps(visit.doors), visit) },
  { name: 'POP3 in TLS, a short look', perSecond: 4, visit: (visit) => look(pop3s(visit.doors), visit) },
  { name: 'IMAP, mail read on a Dovecot', perSecond: 3, visit: readMail },
  { name: 'IMAP, IDLE on a Dovecot', perSecond: 0.5, visit: idle },
  { name: 'IMAP, silent', perSecond: 4, visit: beSilent },
  { name: 'IMAP, 1 MiB down', perSecond: 2, visit: (visit) => fetchOne(imapClear(visit.doors), visit) },
  { name: 'IMAP in TLS, 1 MiB down', perSecond: 1, visit: (visit) => fetchOne(imaps(visit.doors), visit) },
  { name: 'IMAP, 1 MiB up', perSecond: 2, visit: append },
  { name: `IMAP, ${SLOW_MESSAGES} MiB at 1 MiB/s`, perSecond: 0.2, visit: readSlowly },
  { name: 'a wrong password', perSecond: 2, visit: (visit) => beRefused(aSinkUser(visit), visit) },
  { name: 'an unknown user', perSecond: 1, visit: (visit) => beRefused(aStranger(visit), visit) },
  { name: 'gone before the greeting', perSecond: 3, visit: ({ doors }) => breakOff(doors.imapClear, '') },
  { name: 'gone in the middle of a command', perSecond: 3, visit: ({ doors }) => breakOff(doors.pop3Clear, 'USER us') },
  { name: 'gone in the middle of a handshake', perSecond: 3, visit: ({ doors }) => breakOff(doors.imaps, HELLO) },
  { name: 'gone while the login is under way', perSecond: 3, visit: breakOffLogin },
  { name: 'gone in the middle of a message', perSecond: 1, visit: breakOffFetch },
]

/** The first of a ClientHello: a record of 256 octets (RFC 8446 5.1), of which no more come. */
const HELLO = '\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03'

const aSinkUser = ({ random }: Visit) => sinkUser(between(random, 0, SINK_USERS - 1))
/** That somebody is unknown is remembered too: few enough, so that all are before the warm-up is over. */
const aStranger = ({ random }: Visit) => `nobody-${userName(between(random, 0, 49))}`
const aStoreUser = ({ random }: Visit) => storeUser(between(random, 0, STORE_USERS - 1))

async function logIn(target: Target, user: string, password = PASSWORD): Promise<Session> {
  const session = await openSession(target)
  if (target.protocol === 'imap') {
    await session.command(`LOGIN ${user} ${password}`)
  } else {
    await session.command(`USER ${user}`)
    await session.command(`PASS ${password}`)
  }
  return session
}

async function leave(session: Session, word: 'LOGOUT' | 'QUIT' = 'LOGOUT'): Promise<void> {
  await session.command(word)
  await session.closed
}

async function look(target: Target, visit: Visit): Promise<void> {
  const session = await logIn(target, aSinkUser(visit))
  await session.command(target.protocol === 'imap' ? 'SELECT INBOX' : 'STAT')
  await leave(session, target.protocol === 'imap' ? 'LOGOUT' : 'QUIT')
}

async function readMail(visit: Visit): Promise<void> {
  const session = await logIn(imapClear(visit.doors), aStoreUser(visit))
  await session.command('SELECT INBOX')
  await session.command(FETCH)
  if (session.literalBytes() === 0) throw new Error('the mailbox on Dovecot was empty')
  await leave(session)
}

async function idle(visit: Visit): Promise<void> {
  const session = await logIn(imapClear(visit.doors), aStoreUser(visit))
  await session.command('SELECT INBOX')
  const done = session.command('IDLE')
  await stay(visit.stayMs, visit)
  session.socket.write('DONE\r\n')
  await done
  await leave(session)
}

async function beSilent(visit: Visit): Promise<void> {
  const session = await logIn(imapClear(visit.doors), aSinkUser(visit))
  await stay(visit.stayMs, visit)
  await leave(session)
}

/** Resolves after so long, or when the run is over. */
async function stay(ms: number, { over }: Visit): Promise<void> {
  await pass(ms, undefined, { signal: over }).catch(() => undefined)
}

async function fetchOne(target: Target, visit: Visit): Promise<void> {
  const session = await logIn(target, aSinkUser(visit))
  await session.command(FETCH)
  if (session.literalBytes() !== MESSAGE.length) throw new Error(`a message came as ${session.literalBytes()} bytes`)
  await leave(session)
}

async function append(visit: Visit): Promise<void> {
  const session = await logIn(imapClear(visit.doors), aSinkUser(visit))
  await session.command(`APPEND INBOX {${MESSAGE.length}+}`, MESSAGE)
  await leave(session)
}

async function readSlowly(visit: Visit): Promise<void> {
  const session = await logIn(imapClear(visit.doors), aSinkUser(visit))
  const { socket } = session
  socket.write(`s ${FETCH}\r\n`.repeat(SLOW_MESSAGES - 1))
  const all = session.command(FETCH)
  const isReading = () => session.literalBytes() < SLOW_MESSAGES * MESSAGE.length && !socket.destroyed
  for (let taken = SLOW_SLICE; isReading() && !visit.over.aborted; taken += SLOW_SLICE) {
    socket.pause()
    await stay(100, visit)
    socket.resume()
    while (session.literalBytes() < taken && isReading()) await pass(1)
  }
  await all
  await leave(session)
}

async function beRefused(user: string, { doors }: Visit): Promise<void> {
  const session = await openSession(imapClear(doors))
  const answer = await session.command(`LOGIN ${user} wrong`).then(
    () => 'OK',
    (refusal: unknown) => String(refusal),
  )
  if (!answer.includes('NO [AUTHENTICATIONFAILED]')) throw new Error(`${user} with a wrong password was told ${answer}`)
  await leave(session)
}

/** Connects, says so much, and resets the connection a moment later. */
async function breakOff(port: number, words: string): Promise<void> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true })
  const closed = new Promise<void>((resolve) => void socket.once('close', () => resolve()))
  socket.on('error', () => undefined) // nobody is left to hear of it
  if (words !== '') {
    socket.write(words, 'latin1')
    await pass(50)
  }
  socket.resetAndDestroy()
  await closed
}

async function breakOffLogin(visit: Visit): Promise<void> {
  const session = await openSession(pick(visit.random, [imapClear, imaps])(visit.doors))
  session.socket.write(`a LOGIN ${aSinkUser(visit)} ${PASSWORD}\r\n`)
  await pass(between(visit.random, 0, 2))
  session.destroy()
  await session.closed
}

async function breakOffFetch(visit: Visit): Promise<void> {
  const session = await logIn(imapClear(visit.doors), aSinkUser(visit))
  session.socket.write(`s ${FETCH}\r\n`)
  while (session.literalBytes() === 0) await pass(1)
  session.socket.resetAndDestroy()
  await session.closed
}
