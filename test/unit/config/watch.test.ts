import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { temporaryDirectory } from './fixture.ts'
import { oneFile, replace, watch } from './watching.ts'

test('reports a file written in place, twice in a row', async (t) => {
  const file = oneFile(t)
  const { nextChange, told } = watch(t, () => [file])
  for (const text of ['two', 'three']) {
    const change = nextChange()
    fs.writeFileSync(file, text)
    assert.equal(await change, text)
  }
  assert.deepEqual(told, ['two', 'three'])
})

test('reports a replaced file, twice in a row', async (t) => {
  const file = oneFile(t)
  const { nextChange, told } = watch(t, () => [file])
  for (const text of ['two', 'three']) {
    const change = nextChange()
    replace(file, text)
    assert.equal(await change, text)
  }
  assert.deepEqual(told, ['two', 'three'])
})

test('does not report a touch, but the change after it', async (t) => {
  const file = oneFile(t)
  const { nextChange, nextLook, told } = watch(t, () => [file])
  const look = nextLook()
  fs.utimesSync(file, new Date(), new Date(0))
  await look
  const change = nextChange()
  fs.writeFileSync(file, 'two')
  assert.equal(await change, 'two')
  assert.deepEqual(told, ['two'])
})

test('does not report the same content written again', async (t) => {
  const file = oneFile(t)
  const { nextChange, nextLook, told } = watch(t, () => [file])
  const look = nextLook()
  replace(file, 'one')
  await look
  const change = nextChange()
  replace(file, 'two')
  await change
  assert.deepEqual(told, ['two'])
})

test('other files of the directory are not even looked at', async (t) => {
  const file = oneFile(t)
  let looks = 0
  const { nextChange, told } = watch(t, () => {
    looks++
    return [file]
  })
  // A second watcher of the same directory, later in every queue: what it was told of, the first has passed over.
  const marker = watch(t, () => [`${file}.swp`])
  const before = looks
  const passed = marker.nextChange()
  fs.writeFileSync(`${file}.swp`, 'x')
  await passed
  assert.equal(looks, before)
  const change = nextChange()
  fs.writeFileSync(file, 'two')
  await change
  assert.deepEqual(told, ['two'])
})

test('reports a removed file, and its return', async (t) => {
  const file = oneFile(t)
  const { nextChange } = watch(t, () => [file])
  const gone = nextChange()
  fs.rmSync(file)
  assert.equal(await gone, 'absent')
  const back = nextChange()
  fs.writeFileSync(file, 'one')
  assert.equal(await back, 'one')
})

test('files that join the list are watched from then on, and joining is no change', async (t) => {
  const file = oneFile(t)
  const other = path.join(temporaryDirectory(t), 'cert.pem')
  fs.writeFileSync(other, 'A')
  let files = [file]
  const { nextChange, told } = watch(
    t,
    () => files,
    () => {
      files = [file, other]
    },
  )
  const first = nextChange()
  fs.writeFileSync(file, 'two')
  await first
  const second = nextChange()
  fs.writeFileSync(other, 'B')
  await second
  assert.deepEqual(told, ['two', 'two|B'])
})

test('reports a change during onChange afterwards', async (t) => {
  const file = oneFile(t)
  let finish = (): void => {}
  const finished = new Promise<void>((resolve) => (finish = resolve))
  const { nextChange, told } = watch(
    t,
    () => [file],
    () => finished,
  )
  const first = nextChange()
  fs.writeFileSync(file, 'two')
  await first
  // Made later, and so behind the first in every queue.
  const marker = watch(t, () => [file])
  const passed = marker.nextChange()
  fs.writeFileSync(file, 'three')
  await passed
  assert.deepEqual(told, ['two'])
  const second = nextChange()
  finish()
  assert.equal(await second, 'three')
  assert.deepEqual(told, ['two', 'three'])
})

test('reports an error of onChange, and still reports the next change', async (t) => {
  const file = oneFile(t)
  const { nextChange, errors } = watch(
    t,
    () => [file],
    () => {
      throw new Error('no')
    },
  )
  for (const text of ['two', 'three']) {
    const change = nextChange()
    fs.writeFileSync(file, text)
    assert.equal(await change, text)
  }
  assert.deepEqual(errors.map(String), ['Error: no', 'Error: no'])
})

test('reports nothing after close', async (t) => {
  const file = oneFile(t)
  const closed = watch(t, () => [file])
  const open = watch(t, () => [file])
  closed.close()
  closed.close()
  const change = open.nextChange()
  fs.writeFileSync(file, 'two')
  await change
  assert.deepEqual(closed.told, [])
})
