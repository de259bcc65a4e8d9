/** The guard of a session beside a real Cyrus: whatever a client sends, both read the same commands in it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { ImapGuard } from '../../src/protocol/imap/guard.ts'
import { type Cyrus, startCyrus } from '../support/cyrus.ts'
import { READ_DEADLINE_MS, within } from '../support/deadline.ts'
import { GuardedSession } from '../support/guarded.ts'
import { between, createRandom, pick } from '../support/random.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { connectPeer } from '../support/scripted-peer.ts'
import { atRandom, WHOLE, type Cut } from '../support/splits.ts'

const ALICE = 'alice@example.test'
const BOSS = 'boss@example.test'
const PASSWORD = 'secret'

let scene: Scene
let cyrus: Cyrus
before(async () => {
  scene = openScene()
  cyrus = await startCyrus(scene, {
    name: 'cyrus',
    users: { [ALICE]: PASSWORD },
    admin: { user: BOSS, password: PASSWORD },
  })
  const peer = await connectPeer(scene, { port: cyrus.ports.imap })
  await peer.readLine()
  await peer.ask(`a LOGIN ${BOSS} ${PASSWORD}`, /^a OK/)
  await peer.ask(`b CREATE user/${BOSS}`, /^b OK/)
  peer.destroy()
})
after(() => scene.close())

/** Every tag is used once, in commands and in text that only looks like one. */
type Pipeline = { random: () => number; tags: number }

const nextTag = (pipeline: Pipeline): string => `t${++pipeline.tags}`

const PLAIN = [
  'NOOP',
  'CAPABILITY',
  'NAMESPACE',
  'SELECT INBOX',
  `SELECT user/${ALICE}`,
  'LIST "" "*"',
  'LIST "" "a\\"b {5+}"',
  'UID FETCH 1:* (FLAGS)',
  'FETCH 1 BODY[]',
  'SEARCH TEXT UNAUTHENTICATE',
  'STATUS INBOX (MESSAGES)',
  'ENABLE CONDSTORE',
  'XYZZY',
  'UNAUTHENTICATE',
  'UNSELECT',
  `LOGIN ${ALICE} ${PASSWORD}`,
  `LOGIN ${BOSS} ${PASSWORD}`,
]

const TAKES_LITERAL = [
  'SELECT ',
  'APPEND INBOX ',
  'APPEND INBOX (\\Seen) ',
  'SEARCH TEXT ',
  'LIST "" ',
  'CREATE ',
  'STATUS ',
]
const TAKES_NONE = [
  'NOOP ',
  'FETCH ',
  'UID ',
  'STORE 1 FLAGS (',
  'APPEND x (a ',
  'SELECT foo',
  'SELECT foo~',
  'SELECT foo(',
  'SEARCH TEXT "x" y',
  'ID ',
  'SETACL INBOX ',
  'COPY 1 ',
  'IDLE ',
  'XYZZY ',
  'NOOP "',
]

/** What may stand in a literal: text, and what would be a command in another place. */
function literalText(pipeline: Pipeline): string {
  const { random } = pipeline
  const parts = Array.from({ length: between(random, 0, 3) }, () =>
    pick(random, [
      () => 'Subject: x\r\n\r\n',
      () => 'x'.repeat(between(random, 1, 30)),
      () => `${nextTag(pipeline)} NOOP\r\n`,
      () => `\r\n${nextTag(pipeline)} UNAUTHENTICATE\r\n`,
      () => `${nextTag(pipeline)} APPEND y {${between(random, 1, 40)}+}\r\n`,
      () => `DONE\r\n`,
    ])(),
  )
  return parts.join('')
}

function withLiteral(pipeline: Pipeline, command: string): string {
  const { random } = pipeline
  const text = literalText(pipeline)
  const bytes = random() < 0.9 ? text.length : between(random, 0, 60)
  const plus = pick(random, ['', '+'])
  const tail = pick(random, ['', '', '', ' x', ')', ' {2+}\r\nhi'])
  const end = random() < 0.9 ? '\r\n' : '\n'
  return `${nextTag(pipeline)} ${command}{${bytes}${plus}}${end}${text}${tail}\r\n`
}

const ODD = [
  () => '\r\n',
  () => 'DONE\r\n',
  (tag: string) => `${tag}\r\n`,
  (tag: string) => `${tag}  NOOP\r\n`,
  (tag: string) => `${tag} NOOP\n`,
  (tag: string) => `${tag} NOOP x\r\n`,
  (tag: string) => `${tag.padEnd(130, 'x')} NOOP\r\n`,
  (tag: string) => ` ${tag} NOOP\r\n`,
  (tag: string) => `+${tag} NOOP\r\n`,
  (tag: string) => `${tag}{5+} NOOP\r\nhello\r\n`,
  (tag: string) => `${tag} SELECT "x\\\n\r\n`,
  (tag: string) => `${tag} SELECT "x\r\n`,
  (tag: string) => `${tag} NOOP\rx\r\n`,
  (tag: string) => `${tag} NOOP\0\r\n`,
  (tag: string) => `${tag} APPEND INBOX {99999999999}\r\n`,
]

/** @param oddity how many lines in a hundred no mail client sends */
function makePipeline(pipeline: Pipeline, oddity: number): string {
  const { random } = pipeline
  let octets = ''
  for (let count = between(random, 3, 14); count > 0; count--) {
    const chance = random() * 100
    if (chance < oddity) octets += pick(random, ODD)(nextTag(pipeline))
    else if (chance < 2 * oddity) octets += withLiteral(pipeline, pick(random, TAKES_NONE))
    else if (chance < 65) octets += `${nextTag(pipeline)} ${pick(random, PLAIN)}\r\n`
    else if (chance < 75)
      octets += `${nextTag(pipeline)} IDLE\r\n${random() < 0.9 ? 'DONE' : `${nextTag(pipeline)} NOOP`}\r\n`
    else octets += withLiteral(pipeline, pick(random, TAKES_LITERAL))
  }
  return octets
}

type Read = {
  /** tags of the commands that the guard has read, and those that Cyrus has answered, in their order */
  guard: string[]
  cyrus: string[]
  ended: GuardedSession['ended']
}

async function logIn(): Promise<Socket> {
  const socket = connect(cyrus.ports.imap, '127.0.0.1')
  socket.on('error', () => undefined) // the reading below ends with it
  socket.write(`login LOGIN ${BOSS} ${PASSWORD}\r\n`)
  let said = ''
  while (!/^login OK.*\r\n/m.test(said)) {
    const [chunk] = (await within(READ_DEADLINE_MS, once(socket, 'data'), () => `no login: ${said}`)) as [Buffer]
    said += chunk.toString('latin1')
  }
  return socket
}

async function play(octets: string, cut: Cut): Promise<Read> {
  const guard: string[] = []
  const session = new GuardedSession(
    new ImapGuard((name, tag) => {
      guard.push(tag)
      return name !== 'COMPRESS' && name !== 'STARTTLS'
    }),
  )
  const socket = await logIn()
  let said = ''
  let allSent = false
  const closed = once(socket, 'close')
  const pass = (passed: string): void => {
    if (passed !== '') socket.write(passed, 'latin1')
    if (session.ended) socket.destroy()
    else if (allSent && !session.holds) socket.end()
  }
  socket.on('data', (chunk) => {
    said += chunk.toString('latin1')
    pass(session.fromBackend(chunk.toString('latin1')))
  })
  for (const piece of cut.split(octets)) {
    pass(session.fromClient(piece))
    await nextTurn()
  }
  allSent = true
  pass('')
  await within(
    READ_DEADLINE_MS,
    closed,
    () => `the guard waits for Cyrus, and Cyrus for the client, who has sent:\n${octets}\n--- ${said}`,
  )
  const answered = [...said.matchAll(/^((?!login )[^ *+\r\n]+) (?:OK|NO|BAD) /gm)].map(([, tag = '']) => tag)
  return { guard, cyrus: answered, ended: session.ended }
}

const PIPELINES = 150

test('reads in random pipelines, cut at random, the commands that Cyrus reads', { timeout: 300_000 }, async () => {
  const seen = { commands: 0, ended: 0, whole: 0 }
  for (let seed = 1; seed <= PIPELINES; seed++) {
    const octets = makePipeline({ random: createRandom(seed), tags: 0 }, seed % 3 === 0 ? 0 : 12)
    const { guard, cyrus: answered, ended } = await play(octets, seed % 2 === 0 ? WHOLE : atRandom(seed))
    const about = `seed ${seed}:\n${octets}`
    // The last command may be cut off by the end of the session, or of the pipeline.
    assert.deepEqual(guard.slice(0, answered.length), answered, about)
    assert.ok(guard.length - answered.length <= 1, about)
    seen.commands += answered.length
    if (ended) seen.ended++
    else seen.whole++
  }
  // The pipelines are of all kinds, or the test says little.
  assert.ok(seen.commands > 4 * PIPELINES, JSON.stringify(seen))
  assert.ok(seen.ended > PIPELINES / 10 && seen.whole > PIPELINES / 4, JSON.stringify(seen))
})
