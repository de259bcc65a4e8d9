import assert from 'node:assert/strict'
import { test } from 'node:test'
import { whyUntrustedDirectory, whyUntrustedFile } from '../../../../src/directory/remembered/trusted-file.ts'

const [OWN, OTHER, ROOT] = [1000, 1001, 0]

test('trusts a file of its own user or of root if no other user may write to it', () => {
  for (const uid of [OWN, ROOT]) {
    for (const mode of [0o100600, 0o100644, 0o100444]) assert.equal(whyUntrustedFile({ uid, mode }, OWN), undefined)
    for (const mode of [0o100620, 0o100602, 0o100666])
      assert.equal(whyUntrustedFile({ uid, mode }, OWN), 'others may write to it')
  }
})

test('trusts no file and no directory of another user, as root neither', () => {
  for (const ownUid of [OWN, ROOT]) {
    assert.equal(whyUntrustedFile({ uid: OTHER, mode: 0o100600 }, ownUid), 'it belongs to another user')
    for (const mode of [0o040700, 0o041777])
      assert.equal(whyUntrustedDirectory({ uid: OTHER, mode }, ownUid), 'its directory belongs to another user')
  }
})

test('trusts a directory that others may write to only where it is sticky', () => {
  assert.equal(whyUntrustedDirectory({ uid: OWN, mode: 0o040755 }, OWN), undefined)
  assert.equal(whyUntrustedDirectory({ uid: ROOT, mode: 0o041777 }, OWN), undefined)
  for (const mode of [0o040775, 0o040757])
    assert.equal(whyUntrustedDirectory({ uid: OWN, mode }, OWN), 'others may write to its directory')
})
