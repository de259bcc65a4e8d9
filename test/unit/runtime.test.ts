/** Which runtime runs mailmux, as operators are told. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { describeRuntime, runtimeName } from '../../src/runtime.ts'

test('names Node and Bun, which names a version of Node too', () => {
  assert.deepEqual(describeRuntime({ node: '26.10.0' }), { name: 'node', version: '26.10.0' })
  assert.deepEqual(describeRuntime({ node: '26.3.0', bun: '1.4.5' }), { name: 'bun', version: '1.4.5' })
  assert.equal(runtimeName, `node ${process.versions.node}`)
})
