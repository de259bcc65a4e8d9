/** What a process holds of a ledger whose answers take time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLedgerHost } from '../../../src/limits/ledger-host.ts'
import { createLocalLedger } from '../../../src/limits/local-ledger.ts'
import type { Ledger } from '../../../src/limits/ledger.ts'

const CLAIM = { limit: 'max_connections', key: 'max_connections imap ', max: 1 } as const
const QUESTION = { what: 'takeConnection', question: { counts: [CLAIM], rates: [] } } as const

test('a process that has ended before the answer holds nothing', async () => {
  const local = createLocalLedger(() => 0)
  const answer = Promise.withResolvers<undefined>()
  const ledger: Ledger = {
    ...local,
    takeConnection: (claims) => answer.promise.then(() => local.takeConnection(claims)),
  }
  const host = createLedgerHost(ledger)
  const [one, two] = [host.join(), host.join()]
  const asked = one.ask(QUESTION)
  one.end()
  answer.resolve(undefined)
  await asked
  assert.deepEqual(await two.ask(QUESTION), { taken: undefined })
})

test('a process gives back only what it holds', async () => {
  const host = createLedgerHost(createLocalLedger(() => 0))
  const [one, two] = [host.join(), host.join()]
  await one.ask(QUESTION)
  two.note({ what: 'release', keys: [CLAIM.key] })
  assert.deepEqual(await two.ask(QUESTION), { taken: { limit: 'max_connections', max: 1 } })
})
