import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import { temporaryDirectory } from './fixture.ts'
import { watch } from './watching.ts'

test('reports a Kubernetes volume whose ..data link is swapped, twice in a row', async (t) => {
  const directory = temporaryDirectory(t)
  const publish = (version: string): void => {
    fs.mkdirSync(path.join(directory, `..${version}`))
    fs.writeFileSync(path.join(directory, `..${version}`, 'mailmux.yaml'), version)
    fs.symlinkSync(`..${version}`, path.join(directory, '..data_tmp'))
    fs.renameSync(path.join(directory, '..data_tmp'), path.join(directory, '..data'))
  }
  publish('one')
  const file = path.join(directory, 'mailmux.yaml')
  fs.symlinkSync('..data/mailmux.yaml', file)
  const { nextChange, told } = watch(t, () => [file])
  for (const version of ['two', 'three']) {
    const change = nextChange()
    publish(version)
    assert.equal(await change, version)
  }
  assert.deepEqual(told, ['two', 'three'])
})

test('a file in a directory that does not exist yet is reported when it is created', async (t) => {
  const directory = temporaryDirectory(t)
  const file = path.join(directory, 'a', 'b', 'cert.pem')
  const { nextChange } = watch(t, () => [file])
  const change = nextChange()
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, 'one')
  assert.equal(await change, 'one')
})

test('a directory exchanged for another is followed, and so is the one after it', async (t) => {
  const directory = path.join(temporaryDirectory(t), 'mailmux')
  const file = path.join(directory, 'mailmux.yaml')
  const exchange = (text: string): void => {
    fs.mkdirSync(`${directory}.new`)
    fs.writeFileSync(path.join(`${directory}.new`, 'mailmux.yaml'), text)
    if (fs.existsSync(directory)) fs.renameSync(directory, `${directory}.before-${text}`)
    fs.renameSync(`${directory}.new`, directory)
  }
  exchange('one')
  const { nextChange } = watch(t, () => [file])
  for (const text of ['two', 'three']) {
    const change = nextChange()
    exchange(text)
    assert.equal(await change, text)
  }
  const change = nextChange()
  fs.writeFileSync(file, 'four')
  assert.equal(await change, 'four')
})

test('a directory removed and made anew is followed', async (t) => {
  const directory = path.join(temporaryDirectory(t), 'mailmux')
  const file = path.join(directory, 'mailmux.yaml')
  fs.mkdirSync(directory)
  fs.writeFileSync(file, 'one')
  const { nextChange } = watch(t, () => [file])
  for (const text of ['two', 'three']) {
    const change = nextChange()
    fs.rmSync(directory, { recursive: true })
    fs.mkdirSync(directory)
    fs.writeFileSync(file, text)
    assert.equal(await change, text)
  }
})

test('a link somewhere above the file is followed, and a link to a file elsewhere', async (t) => {
  const directory = temporaryDirectory(t)
  for (const release of ['one', 'two']) {
    fs.mkdirSync(path.join(directory, release, 'etc'), { recursive: true })
    fs.writeFileSync(path.join(directory, release, 'etc', 'mailmux.yaml'), release)
  }
  fs.symlinkSync('one', path.join(directory, 'current'))
  const archive = path.join(directory, 'archive.pem')
  fs.writeFileSync(archive, 'A')
  fs.symlinkSync(archive, path.join(directory, 'cert.pem'))
  const files = [path.join(directory, 'current/etc/mailmux.yaml'), path.join(directory, 'cert.pem')]
  const { nextChange } = watch(t, () => files)
  const release = nextChange()
  fs.symlinkSync('two', path.join(directory, 'next'))
  fs.renameSync(path.join(directory, 'next'), path.join(directory, 'current'))
  assert.equal(await release, 'two|A')
  const renewal = nextChange()
  fs.writeFileSync(archive, 'B')
  assert.equal(await renewal, 'two|B')
})

test('a ring of links is absent and does no harm', async (t) => {
  const directory = temporaryDirectory(t)
  const [a, b] = [path.join(directory, 'a'), path.join(directory, 'b')]
  fs.symlinkSync(a, b)
  fs.symlinkSync(b, a)
  const { nextChange, errors } = watch(t, () => [a])
  const change = nextChange()
  fs.rmSync(b)
  fs.writeFileSync(b, 'one')
  assert.equal(await change, 'one')
  assert.deepEqual(errors, [])
})

test('a directory that went unseen with the one above it is found again at the next look', async (t) => {
  const directory = temporaryDirectory(t)
  const file = path.join(directory, 'above', 'etc', 'mailmux.yaml')
  const other = path.join(directory, 'cert.pem')
  fs.mkdirSync(path.dirname(file), { recursive: true })
  fs.writeFileSync(file, 'one')
  fs.writeFileSync(other, 'A')
  const { nextChange } = watch(t, () => [file, other])
  // No watched directory has an event by this: `above` is neither the file's directory nor a link.
  fs.cpSync(path.join(directory, 'above'), path.join(directory, 'new'), { recursive: true })
  fs.renameSync(path.join(directory, 'above'), path.join(directory, 'old'))
  fs.renameSync(path.join(directory, 'new'), path.join(directory, 'above'))
  const look = nextChange()
  fs.writeFileSync(other, 'B')
  assert.equal(await look, 'one|B')
  const change = nextChange()
  fs.writeFileSync(file, 'two')
  assert.equal(await change, 'two|B')
})
