/** A relay with a guard: what waits for the back end, and what ends the session. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RelayGuard } from '../../../src/relay/gate.ts'
import { startRelay } from './fixture.ts'

/** Lets a line pass for each line of the back end, and ends at the word BAD from either side. Swallows the back end's line `+`. */
function linesInTurn(): RelayGuard {
  let credit = 1
  return {
    mode: 'guard',
    farewell: '',
    isIdle: () => credit > 0,
    fromClient(chunk, pass) {
      if (chunk.includes('BAD')) return 'forbidden'
      if (chunk.includes('ODD')) return 'ambiguous'
      let taken = 0
      while (credit > 0 && chunk.indexOf('\n', taken) !== -1) {
        const end = chunk.indexOf('\n', taken) + 1
        pass(chunk.subarray(taken, end))
        taken = end
        credit--
      }
      return taken
    },
    fromBackend(chunk, pass) {
      if (chunk.includes('BAD')) return false
      credit += chunk.toString().split('\n').length - 1
      if (chunk.toString() !== '+\r\n') pass(chunk)
      return true
    },
  }
}

test('ends at what the guard forbids before a byte of it has gone on, be it in what was left unread', async (t) => {
  for (const [word, cause] of [
    ['BAD', 'client-unauthenticate'],
    ['ODD', 'client-ambiguous'],
  ] as const)
    for (const unreadFromClient of [Buffer.from(`a ${word}\r\n`), undefined]) {
      const relay = await startRelay(t, { watch: linesInTurn(), unreadFromClient })
      if (unreadFromClient === undefined) relay.client.send(`a ${word}`)
      await relay.backend.expectClose()
      await relay.client.expectClose()
      assert.deepEqual(await relay.ending(), { cause, bytesFromClient: 0, bytesFromBackend: 0 })
    }
})

test('ends at what the guard does not accept from the back end', async (t) => {
  for (const unreadFromBackend of [Buffer.from('BAD\r\n'), undefined]) {
    const relay = await startRelay(t, { watch: linesInTurn(), unreadFromBackend })
    if (unreadFromBackend === undefined) relay.backend.send('BAD')
    await relay.client.expectClose()
    assert.deepEqual(await relay.ending(), { cause: 'client-ambiguous', bytesFromClient: 0, bytesFromBackend: 0 })
  }
})

test('holds what the client sends until the back end has spoken, and counts what was carried', async (t) => {
  const relay = await startRelay(t, { watch: linesInTurn(), unreadFromClient: Buffer.from('a one\r\nb two\r\n') })
  relay.client.send('c three')
  await relay.backend.expect('a one')
  assert.equal(relay.near.client.isPaused(), true)
  for (const [answer, line] of [
    ['* one', 'b two'],
    ['* two', 'c three'],
  ] as const) {
    relay.backend.send(answer)
    await relay.backend.expect(line)
    await relay.client.expect(answer)
  }
  relay.backend.sendRaw('+\r\n')
  relay.client.send('d four')
  await relay.backend.expect('d four')
  relay.client.end()
  await relay.backend.expectClose()
  relay.backend.end()
  await relay.client.expectClose()
  assert.deepEqual(await relay.ending(), { cause: 'client-closed', bytesFromClient: 31, bytesFromBackend: 14 })
})

// As a script does it: all commands at once, then the end.
test('closes to the back end after the client’s end once all held lines are relayed', async (t) => {
  for (const early of [true, false]) {
    const all = 'a one\r\nb two\r\nc three\r\n'
    const relay = await startRelay(
      t,
      early ? { watch: linesInTurn(), unreadFromClient: Buffer.from(all) } : { watch: linesInTurn() },
    )
    if (!early) relay.client.sendRaw(all)
    relay.client.end()
    for (const line of ['a one', 'b two', 'c three']) {
      await relay.backend.expect(line)
      relay.backend.send(`* ${line}`)
      await relay.client.expect(`* ${line}`)
    }
    await relay.backend.expectClose()
    relay.backend.end()
    assert.equal((await relay.ending()).cause, 'client-closed')
  }
})
