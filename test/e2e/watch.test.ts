/**
 * Sessions with a real Dovecot and a real Cyrus, shown to the watches cut at every octet. A watch must be idle exactly where every command
 * has its answer. Where that is so is read from the whole record: each IMAP command has a tag of its own, and each POP3 answer is known by its command.
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { ImapWatch } from '../../src/protocol/imap/watch.ts'
import { Pop3Watch } from '../../src/protocol/pop3/watch.ts'
import { startCyrus } from '../support/cyrus.ts'
import { startDovecot } from '../support/dovecot.ts'
import { between, createRandom, pick } from '../support/random.ts'
import { Recording } from '../support/recording.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { show } from '../support/watched.ts'

const USER = 'alice@example.test'
const PASSWORD = 'secret'
/** Of each server and protocol. */
const SESSIONS = 20

type Servers = Record<'dovecot' | 'cyrus', { ports: { imap: number; pop3: number } }>

let scene: Scene
let servers: Servers
before(async () => {
  scene = openScene()
  const users = { [USER]: PASSWORD }
  servers = {
    dovecot: await startDovecot(scene, { name: 'dovecot', users }),
    cyrus: await startCyrus(scene, { name: 'cyrus', users }),
  }
})
after(() => scene.close())

const TRICKY = 'Subject: x\r\n\r\nt1 OK fake\r\n+ fake\r\n* BYE {5}\r\n.\r\n..\r\nDONE\r\nx NOOP {3+}\r\n'

/** `line` is behind the first line of an IDLE, where it may rest. */
type Command = { tag: string; start: number; end: number; line?: number; continuation?: number }

class ImapSession {
  readonly record: Recording
  readonly commands: Command[] = []

  constructor(port: number) {
    this.record = new Recording(scene, port)
  }

  async logIn(): Promise<void> {
    await this.record.find(/^\* OK .*\r\n/)
    this.record.send(`login LOGIN ${USER} ${PASSWORD}\r\n`)
    await this.record.find(/^login OK .*\r\n/m)
    this.record.start()
  }

  begin(): Command {
    const command = { tag: `tag${this.commands.length}`, start: this.record.client.length, end: Infinity }
    this.commands.push(command)
    return command
  }

  end(command: Command): void {
    command.end = this.record.client.length
  }

  answered(tag: string): Promise<unknown> {
    return this.record.find(new RegExp(`^${tag} (?:OK|NO|BAD)\\b.*\r\n`, 'm'))
  }

  /** Sends the commands at once. */
  async run(texts: readonly string[]): Promise<void> {
    const batch = texts.map((text) => {
      const command = this.begin()
      return { command, octets: `${command.tag} ${text}\r\n` }
    })
    const { length } = this.record.client
    let at = length
    for (const { command, octets } of batch) {
      command.start = at
      command.end = at += octets.length
    }
    this.record.send(batch.map(({ octets }) => octets).join(''))
    for (const { command } of batch) await this.answered(command.tag)
  }

  async synchronising(text: string, literal: string): Promise<void> {
    const command = this.begin()
    const from = this.record.backend.length
    this.record.send(`${command.tag} ${text} {${literal.length}}\r\n`)
    this.end(command)
    const [said] = await this.record.find(new RegExp(`^(?:\\+|${command.tag} ).*\r\n`, 'm'), from)
    if (said.startsWith('+')) {
      this.record.send(literal)
      this.record.send('\r\n')
      this.end(command)
    }
    await this.answered(command.tag)
  }

  async idle(news: () => Promise<void>): Promise<void> {
    const command = this.begin()
    const from = this.record.backend.length
    this.record.send(`${command.tag} IDLE\r\n`)
    command.line = this.record.client.length
    const { 0: said, index } = await this.record.find(/^\+.*\r\n/m, from)
    command.continuation = from + index + said.length
    await news()
    this.record.send('DONE\r\n')
    this.end(command)
    await this.answered(command.tag)
  }

  check(): void {
    const { backend } = this.record
    const ends = responseEnds(backend)
    const answers = this.commands.map(({ tag }) => {
      const { index, 0: said } = new RegExp(`^${tag} .*\r\n`, 'm').exec(backend)!
      return index + said.length
    })
    this.record.check(
      () => new ImapWatch(),
      (sent, said) => {
        if (!ends.has(said)) return false
        return this.commands.every(({ start, end, line, continuation = Infinity }, index) => {
          if (sent <= start) return true
          if (sent === line) return continuation <= said || answers[index]! <= said
          return sent >= end && answers[index]! <= said
        })
      },
    )
  }
}

/** RFC 9051 7: a response ends with its line, and goes on behind the literals that its lines announce. */
function responseEnds(stream: string): Set<number> {
  const ends = new Set([0])
  for (let at = 0, start = 0; at < stream.length;) {
    const end = stream.indexOf('\r\n', at) + 2
    const isText = at === start && /^(?:\+|[^ ]+ (?:OK|NO|BAD|BYE) )/.test(stream.slice(at, end))
    const literal = isText ? null : /\{(\d+)\}\r\n$/.exec(stream.slice(at, end))
    at = end + Number(literal?.[1] ?? 0)
    if (literal) continue
    ends.add(end)
    start = end
  }
  return ends
}

const COMMANDS = [
  'NOOP',
  'CAPABILITY',
  'LIST "" "*"',
  'LIST "" "a\\"b {5+}"',
  'STATUS INBOX (MESSAGES UIDNEXT)',
  'FETCH 1:* (FLAGS BODY[])',
  'UID FETCH 1:* (ENVELOPE BODYSTRUCTURE)',
  'SEARCH TEXT fake',
  'STORE 1 +FLAGS (\\Seen)',
  'XYZZY',
  'SELECT nowhere',
  'SELECT INBOX',
  `APPEND INBOX {${TRICKY.length}+}\r\n${TRICKY}`,
  `APPEND nowhere {${TRICKY.length}+}\r\n${TRICKY}`,
  'SEARCH TEXT {3+}\r\nabc SUBJECT {0+}\r\n',
]

/** @param tellsNews the server reports a new message to an idling client at once; Cyrus does so within a minute */
async function playImap(port: number, seed: number, tellsNews: boolean): Promise<ImapSession> {
  const random = createRandom(seed)
  const session = new ImapSession(port)
  await session.logIn()
  await session.run(['SELECT INBOX'])
  for (let count = between(random, 3, 8); count > 0; count--)
    await pick(random, [
      () => session.run([pick(random, COMMANDS)]),
      () => session.run(Array.from({ length: between(random, 2, 6) }, () => pick(random, COMMANDS))),
      () => session.synchronising(pick(random, ['APPEND INBOX (\\Seen)', 'APPEND nowhere', 'SEARCH TEXT']), TRICKY),
      () => session.idle(() => Promise.resolve()),
      async () => {
        await session.run(['SELECT INBOX'])
        await session.idle(async () => {
          const from = session.record.backend.length
          const other = new ImapSession(port)
          await other.logIn()
          await other.synchronising('APPEND INBOX', TRICKY)
          other.record.close()
          if (tellsNews) await session.record.find(/^\* \d+ EXISTS\r\n/m, from)
        })
      },
    ])()
  return session
}

for (const server of ['dovecot', 'cyrus'] as const) {
  test(`detects in IMAP sessions with ${server} where no command is in progress`, { timeout: 300_000 }, async () => {
    for (let seed = 1; seed <= SESSIONS; seed++) {
      const session = await playImap(servers[server].ports.imap, seed, server === 'dovecot')
      session.check()
      session.record.close()
    }
  })

  test(`detects in POP3 sessions with ${server} where no command is in progress`, { timeout: 300_000 }, async () => {
    for (let seed = 1; seed <= SESSIONS; seed++) await checkPop3(servers[server].ports.pop3, seed)
  })
}

test('stops following a session with Cyrus at the answer to COMPRESS', async () => {
  const session = new ImapSession(servers.cyrus.ports.imap)
  await session.logIn()
  await session.run(['COMPRESS DEFLATE'])
  const watch = new ImapWatch()
  assert.ok(show(watch, 'client', session.record.client))
  assert.equal(show(watch, 'backend', session.record.backend), false)
})

/** The answer has several lines where it begins with +OK. */
const MULTI = ['CAPA', 'LIST', 'UIDL', 'RETR 1', 'TOP 1 0', 'RETR 2']
const SINGLE = ['STAT', 'NOOP', 'LIST 1', 'UIDL 1', 'XYZZY', 'RSET', 'DELE 1', 'DELE 999', 'RETR 999']

async function checkPop3(port: number, seed: number): Promise<void> {
  const random = createRandom(seed)
  const record = new Recording(scene, port)
  await record.find(/^\+OK .*\r\n/)
  record.send(`USER ${USER}\r\n`)
  await record.find(/^\+OK .*\r\n\+OK.*\r\n/)
  record.send(`PASS ${PASSWORD}\r\n`)
  await record.find(/^\+OK .*\r\n\+OK.*\r\n\+OK.*\r\n/)
  record.start()

  const ends: number[] = []
  const answers: number[] = []
  const deleted: boolean[] = []
  for (let count = between(random, 3, 8); count > 0; count--) {
    const batch = Array.from({ length: between(random, 1, 5) }, () => pick(random, [...MULTI, ...SINGLE]))
    for (const command of batch) ends.push((ends.at(-1) ?? 0) + command.length + 2)
    record.send(batch.map((command) => `${command}\r\n`).join(''))
    for (const command of batch) {
      const from = answers.at(-1) ?? 0
      const [line] = await record.find(/^.*\r\n/, from)
      const isMulti = MULTI.includes(command) && line.startsWith('+OK')
      const [answer] = isMulti ? await record.find(/^.*\r\n(?:[^]*?\r\n)??\.\r\n/, from) : [line]
      answers.push(from + answer.length)
      const change = { 'DELE 1': true, RSET: false }[line.startsWith('+OK') ? command : '']
      deleted.push(change ?? deleted.at(-1) ?? false)
    }
  }
  record.close() // without QUIT: the next session finds the messages again
  record.check(
    () => new Pop3Watch(),
    (sent, said) => {
      const index = sent === 0 ? -1 : ends.indexOf(sent)
      return (sent === 0 || index !== -1) && said === (answers[index] ?? 0) && !(deleted[index] ?? false)
    },
  )
}
