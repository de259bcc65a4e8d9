/** Generated POP3 sessions: the watch is idle exactly where the session's own record says so, however the octets are cut. */
import { test } from 'node:test'
import { Pop3Watch } from '../../../../src/protocol/pop3/watch.ts'
import { between, createRandom, pick } from '../../../support/random.ts'
import { backend, checkIdle, client, type Step } from '../../../support/watched.ts'

const SESSIONS = 300

type Exchange = { command: string; answer: string; deleted?: boolean }

/** Lines as a server sends them: a dot at the beginning of a line is doubled (RFC 1939 3). */
function lines(random: () => number): string {
  const parts = [
    '..\r\n',
    '.x\r\n',
    '+OK\r\n',
    '-ERR\r\n',
    '\r\n',
    'text.\r\n',
    'x.\r',
    '.\n',
    'x'.repeat(70),
    'a.b.c. ',
  ]
  const all = Array.from({ length: between(random, 0, 12) }, () => pick(random, parts)).join('')
  const stuffed = all.replace(/\r\n\.(?=\r\n)/g, '\r\n..').replace(/^\.\r\n/, '..\r\n')
  return `${stuffed}\r\n.\r\n`
}

function exchange(random: () => number): Exchange {
  const fails = random() < 0.2
  const [command, answer] = pick(random, [
    () => ['NOOP', '+OK'],
    () => ['list 1', '+OK 1 20'],
    () => ['STAT', '+OK 2 320'],
    () => ['RETR 1', `+OK\r\n${lines(random)}`],
    () => ['TOP 1 0', `+ok\r\n${lines(random)}`],
    () => ['uidl', `+OK\r\n${lines(random)}`],
    () => ['LIST ', '+OK\r\n.'],
    () => ['DELE 1', '+OK'],
    () => ['RSET', '+OK'],
    () => ['XYZZY', '-ERR what'],
  ])() as [string, string]
  const whole = fails ? '-ERR no' : answer.replace(/\r\n$/, '')
  const deleted = whole.startsWith('-')
    ? undefined
    : command === 'DELE 1'
      ? true
      : command === 'RSET'
        ? false
        : undefined
  return { command: `${command}\r\n`, answer: `${whole}\r\n`, ...(deleted === undefined ? {} : { deleted }) }
}

function generate(random: () => number): Step[] {
  const steps: Step[] = []
  let deleted = false
  for (let count = between(random, 1, 8); count > 0; count--) {
    const exchanges = Array.from({ length: random() < 0.5 ? 1 : between(random, 2, 5) }, () => exchange(random))
    for (const one of exchanges) deleted = one.deleted ?? deleted
    steps.push(client(exchanges.map(({ command }) => command).join('')))
    steps.push(backend(exchanges.map(({ answer }) => answer).join(''), !deleted))
  }
  return steps
}

test('finds in generated sessions when no command is in progress', () => {
  for (let seed = 1; seed <= SESSIONS; seed++)
    checkIdle(() => new Pop3Watch(), generate(createRandom(seed)), `seed ${seed},`)
})
