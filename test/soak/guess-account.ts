/** The account of `guessing.ts` as a page. Pure. */
import { alignTable } from '../bench/render.ts'
import type { ClientsAnswer } from './guess-clients.ts'
import type { Memory } from './guess-site.ts'

export type Account = {
  at: Date
  here: string
  configured: {
    rate: number
    seconds: number
    addresses: number
    names: number
    users: number
    loginsPerSecond: number
    patienceMs: number
    onsetSeconds: number
  }
  /** of the users, before the attack, while it begins, and in the minute that counts */
  first: ClientsAnswer
  onset: ClientsAnswer
  loggedIn: ClientsAnswer
  guessed: ClientsAnswer
  /** guesses that the store has checked */
  checked: number
  /** logins that the penalty has delayed */
  delayed: number
  /** connections that the kernel has dropped because mailmux did not accept them in time */
  dropped: number
  memory: { before: Memory; atMost: Memory; after: Memory }
  /** what all tables of the limits take at their bounds */
  tablesMiB: number
  /** of one processor */
  cpu: { name: string; percent: number }[]
}

export type Written = { text: string; refused: number; p99Ms: number; growthMiB: number }

export function writeAccount(account: Account): Written {
  const { configured, first, onset, loggedIn, guessed, memory } = account
  const refused = [first, onset, loggedIn].reduce((sum, answer) => sum + countOthers(answer), 0)
  const p99Ms = percentile(loggedIn.ms, 0.99)
  const { rate, seconds, addresses, names, users, loginsPerSecond, patienceMs, onsetSeconds } = configured
  const guesses = sum(guessed.answers)
  const facts: [string, string][] = [
    ['guesses', String(guesses)],
    ['guesses that the penalty has delayed', String(account.delayed)],
    ['guesses that the store has checked', String(account.checked)],
    ['guesses without an answer when the guesser gave up', String(guessed.answers['no answer in time'] ?? 0)],
    ['logins of users', String(sum(loggedIn.answers))],
    ['users refused, the beginning of the attack included', String(refused)],
    ['p50, p99, longest login of a user, ms', describe(loggedIn.ms)],
    [`the same in the ${onsetSeconds} s in which the attack began`, describe(onset.ms)],
    ['connections that the kernel has dropped', String(account.dropped)],
    ...account.cpu.map(({ name, percent }): [string, string] => [
      `processor time of ${name}, % of one`,
      percent.toFixed(0),
    ]),
    ['resident memory before, at most, after, MiB', row(memory, 'residentBytes')],
    ['heap in use before, at most, after, MiB', row(memory, 'heapBytes')],
    ['all tables of the limits at their bounds, MiB', String(account.tablesMiB)],
  ]
  const text = `# ${Math.min(addresses, rate * (seconds + onsetSeconds)).toLocaleString('en')} addresses guess passwords

${rate.toLocaleString('en')} times a second, for ${seconds} s, at ${names} names, and give up after ${patienceMs / 1000} s. Meanwhile ${users} of the same users log in, ${loginsPerSecond} times a second, each from the address that has
logged that user in before. The time of a login begins with the connection. One worker, \`penalty: {}\`, \`login_rate: 60/1m\`, \`connections_per_address: 100\`; the log is at its default level, in a
file. The attack goes on for ${onsetSeconds} s before the table begins. mailmux, the store, the guessers and the users are processes of one machine. Written by \`node test/soak/guessing.ts\`.

${account.at.toISOString()}, ${account.here}.

${alignTable([['what', 'measured'], ...facts]).join('\n')}

**The times are not those of a quiet machine** if the kernel has dropped connections: mailmux then lacked a processor, the queue of its port was full, and clients connected
again after a second or more.
`
  const growthMiB = (memory.atMost.residentBytes - memory.before.residentBytes) / 2 ** 20
  return { text, refused, p99Ms, growthMiB }
}

function sum(answers: Record<string, number>): number {
  return Object.values(answers).reduce((all, one) => all + one, 0)
}

function countOthers({ answers }: ClientsAnswer): number {
  return sum(answers) - (answers['a OK'] ?? 0)
}

function describe(ms: readonly number[]): string {
  return [percentile(ms, 0.5), percentile(ms, 0.99), Math.max(...ms)].map((one) => one.toFixed(1)).join(', ')
}

function row({ before, atMost, after }: Account['memory'], what: keyof Memory): string {
  return [before, atMost, after].map((memory) => (memory[what] / 2 ** 20).toFixed(0)).join(', ')
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}
