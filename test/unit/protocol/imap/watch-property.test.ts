/** Generated IMAP sessions: the watch is idle exactly where the session's own record says so, however the octets are cut. */
import { test } from 'node:test'
import { ImapWatch } from '../../../../src/protocol/imap/watch.ts'
import { between, createRandom, pick } from '../../../support/random.ts'
import { backend, checkIdle, client, type Step } from '../../../support/watched.ts'

const SESSIONS = 300

type Session = { random: () => number; tags: number }

/** Tags of several lengths. Some are used again later, none while it is unanswered. */
function nextTag({ random, tags }: Session, offset = 0): string {
  const number = (tags + offset) % 7
  return pick(random, [`t${number}`, `A${String(number).padStart(4, '0')}`, `${number}${'x'.repeat(20)}`])
}

/** Octets that would be commands, answers or markers elsewhere. */
function text({ random }: Session): string {
  const parts = [
    'x NOOP\r\n',
    't1 OK done\r\n',
    '+ go\r\n',
    '{5}\r\n',
    '{7+}\r\n',
    'DONE\r\n',
    '\r\n',
    'Subject: x',
    '\0',
    '\r',
    '"',
  ]
  return Array.from({ length: between(random, 0, 5) }, () => pick(random, parts)).join('')
}

function literal(session: Session, plus = ''): string {
  const octets = text(session)
  return `{${octets.length}${plus}}\r\n${octets}`
}

function untagged(session: Session): string {
  return pick(session.random, [
    () => '* 3 EXISTS\r\n',
    () => '* OK [CODE] text {9}\r\n',
    () => '* LIST () "/" INBOX\n',
    () => `* 1 FETCH (BODY[] ${literal(session)} X ${literal(session)})\r\n`,
    () => `* LIST () "/" ${literal(session)}\r\n`,
    () => `* SEARCH ${'12 '.repeat(between(session.random, 0, 60))}\r\n`,
  ])()
}

function news(session: Session): string {
  return Array.from({ length: between(session.random, 0, 3) }, () => untagged(session)).join('')
}

const status = (session: Session): string => pick(session.random, ['OK', 'OK', 'NO', 'BAD', 'ok'])
const answer = (session: Session, tag: string): string => `${tag} ${status(session)} text {3}\r\n`

function plain(session: Session): Step[] {
  const tag = nextTag(session)
  const command = pick(session.random, ['NOOP', 'noop', 'UID FETCH 1:* (FLAGS)', 'LIST "" "a\\"b {5+}"', 'SELECT x{y'])
  return [client(`${tag} ${command}\r\n`), backend(news(session)), backend(answer(session, tag), true)]
}

function pipelined(session: Session): Step[] {
  const tags = Array.from(
    { length: between(session.random, 2, 5) },
    (_, index) => `${nextTag(session, index)}.${index}`,
  )
  const commands = tags.map((tag) =>
    session.random() < 0.7 ? `${tag} NOOP\r\n` : `${tag} APPEND x ${literal(session, '+')}\r\n`,
  )
  const order = session.random() < 0.8 ? tags : tags.toReversed()
  const steps = [client(commands.join('')), ...order.map((tag) => backend(news(session) + answer(session, tag)))]
  return steps.map((step, index) => ({ ...step, idle: index === steps.length - 1 }))
}

function synchronising(session: Session): Step[] {
  const tag = nextTag(session)
  const octets = literal(session)
  const start = octets.indexOf('\n') + 1
  const announce = client(`${tag} APPEND INBOX ~${octets.slice(0, start)}`)
  if (session.random() < 0.3) return [announce, backend(news(session)), backend(`${tag} NO no\r\n`, true)]
  return [
    announce,
    backend(`${news(session)}+ go {4}\r\n`),
    client(octets.slice(start)),
    client(` ${literal(session, '+')}`),
    client('\r\n'),
    backend(news(session)),
    backend(answer(session, tag), true),
  ]
}

function idling(session: Session): Step[] {
  const tag = nextTag(session)
  return [
    client(`${tag} ${pick(session.random, ['IDLE', 'idle'])}\r\n`),
    backend('+ idling\r\n', true),
    ...Array.from({ length: between(session.random, 0, 3) }, () => backend(untagged(session), true)),
    client(pick(session.random, ['DONE\r\n', 'done\n'])),
    backend(news(session) + `${tag} OK done\r\n`, true),
  ]
}

const unasked = (session: Session): Step[] => [backend(untagged(session), true)]

function generate(session: Session): Step[] {
  const steps: Step[] = []
  for (let count = between(session.random, 1, 8); count > 0; count--) {
    session.tags++
    steps.push(...pick(session.random, [plain, plain, pipelined, synchronising, idling, unasked])(session))
  }
  return steps.filter(({ octets }) => octets !== '')
}

test('finds in generated sessions when no command is in progress', () => {
  for (let seed = 1; seed <= SESSIONS; seed++)
    checkIdle(() => new ImapWatch(), generate({ random: createRandom(seed), tags: 0 }), `seed ${seed},`)
})
