/**
 * What the tables of the limits take at their bounds, run by `guessing.ts` as a process of its own: each table gets twice as many keys as it may keep.
 * Prints the growth of the heap in MiB, after a collection of all garbage. Needs --expose-gc.
 */
import { createLocalLedger } from '../../src/limits/local-ledger.ts'

/** The bound of each table is 100,000. A table is fullest just before its older half is dropped. */
const KEYS = 199_999
const RATE = { count: 60, perMs: 60_000 }
const PENALTY = { after: 3, stepMs: 1000, mostMs: 15_000, halfLifeMs: 600_000 }

function heapMiB(): number {
  globalThis.gc?.()
  return process.memoryUsage().heapUsed / 2 ** 20
}

const ledger = createLocalLedger()
const beforeMiB = heapMiB()
for (let n = 0; n < KEYS; n++) {
  const network = `2001:db8:${(n >> 16).toString(16)}:${(n & 65_535).toString(16)}::/64`
  const site = `2001:${(n >> 16).toString(16)}:${(n & 65_535).toString(16)}::/48`
  const user = `user${n}@example.test`
  const rates = [{ limit: 'login_rate', key: `login_rate imap ${network}`, rate: RATE }] as const
  void ledger.takeConnection({
    counts: [],
    rates: [{ limit: 'connection_rate', key: `connection_rate imap ${network}`, rate: RATE }],
  })
  void ledger.askLogin({ rates, ifKnown: { counts: [], rates: [], network, user }, attempt: undefined })
  const rate = { limit: 'user_login_rate', key: `user_login_rate imap ${user}`, rate: RATE } as const
  // Two failures: the second one of a network that is known for the user, which counts for the pair of both.
  ledger.noteFailure({ network, site, user, penalty: PENALTY })
  void ledger.takeSession({ counts: [], rates: [rate], known: { network, user } })
  ledger.noteFailure({ network, site, user, penalty: PENALTY })
}
process.stdout.write(`${(heapMiB() - beforeMiB).toFixed(0)}\n`)
// The ledger is alive until here.
ledger.release([])
