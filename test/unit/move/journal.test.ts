/** The journal of a bulk move, written by one run and read by the next. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { JournalUnusable, openJournal } from '../../../src/move/journal.ts'
import { openTemporaryRoot } from '../../support/temporary.ts'

const SCOPE = { from: 'store1', to: 'store2' }
const TOKEN = 'a'.repeat(32)
const order = (user: string) => ({ user, ...SCOPE })

function fileIn(t: TestContext): string {
  const path = mkdtempSync(join(openTemporaryRoot(), 'mailmux-journal-'))
  t.after(() => rmSync(path, { recursive: true, force: true }))
  return join(path, 'journal')
}

const failed = { kind: 'failed', step: 'final', why: 'exit 3', temporary: false, route: 'old' } as const

test('has one JSON object a line for each transition, and gives the next run the state of each user', async (t) => {
  const file = fileIn(t)
  const journal = openJournal(file, SCOPE)
  journal.begin(order('ann'), TOKEN)
  journal.step('ann', 'hold')
  await journal.end(order('ann'), { kind: 'moved', heldMs: 412.5 })
  journal.begin(order('bob'), TOKEN)
  await journal.end(order('bob'), failed)
  journal.begin(order('cat'), TOKEN)
  journal.begin(order('dan'), TOKEN)
  await journal.end(order('dan'), { ...failed, step: 'switch', route: 'unknown' })
  journal.close()
  const lines = readFileSync(file, 'utf8').trimEnd().split('\n')
  const records = lines.map((line) => JSON.parse(line) as Record<string, unknown>)
  assert.deepEqual(
    records.map(({ event }) => event),
    ['bulk', 'begin', 'step', 'moved', 'begin', 'failed', 'begin', 'begin', 'unknown'],
  )
  assert.ok(records.every(({ time }) => /^\d{4}-\d\d-\d\dT/.test(String(time))))
  assert.deepEqual({ ...records[3], time: '' }, { time: '', event: 'moved', user: 'ann', held_ms: 413 })

  const next = openJournal(file, SCOPE)
  t.after(() => next.close())
  assert.deepEqual(next.users.get('ann'), { kind: 'moved' })
  assert.deepEqual(next.users.get('bob'), { kind: 'failed' })
  for (const user of ['cat', 'dan']) assert.deepEqual(next.users.get(user), { kind: 'begun', ...SCOPE, token: TOKEN })
})

test('leaves out a last line that is not whole, and goes on in a line of its own', (t) => {
  const file = fileIn(t)
  const journal = openJournal(file, SCOPE)
  journal.begin(order('ann'), TOKEN)
  journal.close()
  const whole = readFileSync(file, 'utf8')
  appendFileSync(file, '{"time":"2026-01-01T00:00:00Z","event":"mo')
  const next = openJournal(file, SCOPE)
  next.step('ann', 'hold')
  next.close()
  const text = readFileSync(file, 'utf8')
  assert.ok(text.startsWith(whole))
  assert.match(text.slice(whole.length), /^\{.*"event":"step".*\}\n$/)
})

test('refuses the journal of another move, and a file of another kind', (t) => {
  const file = fileIn(t)
  openJournal(file, SCOPE).close()
  for (const scope of [
    { from: 'store3', to: 'store2' },
    { from: 'store1', to: null },
  ])
    assert.throws(() => openJournal(file, scope), /the journal of another move/)
  writeFileSync(file, 'text\n')
  assert.throws(() => openJournal(file, SCOPE), /journal:1: no line of a journal/)
  assert.throws(() => openJournal(join(file, 'x'), SCOPE), JournalUnusable)
})

test('refuses what is no regular file, and leaves no lock', (t) => {
  const file = fileIn(t)
  // Reading a FIFO would block the command, and Ctrl-C with it.
  execFileSync('mkfifo', [file])
  assert.throws(() => openJournal(file, SCOPE), { message: `${file}: not a regular file` })
  assert.ok(!existsSync(`${file}.lock`))
  assert.throws(() => openJournal('/dev/null', SCOPE), JournalUnusable)
  assert.ok(!existsSync('/dev/null.lock'))
})

test('is used by one process at a time, and freed by one that has ended', (t) => {
  const file = fileIn(t)
  const journal = openJournal(file, SCOPE)
  assert.throws(() => openJournal(file, SCOPE), new RegExp(`process ${process.pid} uses the journal`))
  journal.close()
  assert.ok(!existsSync(`${file}.lock`))
  writeFileSync(`${file}.lock`, String(2 ** 22 + 1)) // more than the largest process id of Linux
  openJournal(file, SCOPE).close()
})

/** A disk that is full after so many octets. */
function smallDisk(octets: number): (fd: number, bytes: Uint8Array) => number {
  let left = octets
  return (fd, bytes) => {
    if (left === 0) throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
    const written = writeSync(fd, bytes.subarray(0, left))
    left -= written
    return written
  }
}

test('a full disk is reported once and leaves a journal that the next run reads', async (t) => {
  const file = fileIn(t)
  const journal = openJournal(file, SCOPE, smallDisk(300))
  assert.equal(journal.lost.aborted, false)
  journal.begin(order('ann'), TOKEN)
  journal.begin(order('bob'), TOKEN)
  assert.ok(journal.lost.aborted)
  assert.ok(journal.lost.reason instanceof JournalUnusable)
  assert.match(journal.lost.reason.message, /journal: ENOSPC: no space left on device/)
  // The disk has space again: nothing may follow the part of a line.
  journal.step('ann', 'hold')
  await journal.end(order('ann'), { kind: 'moved', heldMs: 1 })
  journal.close()
  const next = openJournal(file, SCOPE)
  t.after(() => next.close())
  assert.deepEqual([...next.users], [['ann', { kind: 'begun', ...SCOPE, token: TOKEN }]])
})

test('writes a whole line where the system takes it in parts', (t) => {
  const file = fileIn(t)
  const journal = openJournal(file, SCOPE, (fd, bytes) => writeSync(fd, bytes.subarray(0, 7)))
  journal.begin(order('j\u00f6rg'), TOKEN)
  journal.close()
  const [first, second, rest] = readFileSync(file, 'utf8').split('\n')
  assert.equal((JSON.parse(first ?? '') as { event: string }).event, 'bulk')
  assert.equal((JSON.parse(second ?? '') as { user: string }).user, 'j\u00f6rg')
  assert.equal(rest, '')
})

test('cuts off a last line that is not whole at its first octet, also behind damaged octets', (t) => {
  const file = fileIn(t)
  openJournal(file, SCOPE).close()
  appendFileSync(file, Buffer.from('{"time":"","event":"step","user":"\xff\xfe","step":"hold"}\n', 'latin1'))
  const whole = readFileSync(file)
  appendFileSync(file, '{"ti')
  openJournal(file, SCOPE).close()
  assert.deepEqual(readFileSync(file), whole)
})
