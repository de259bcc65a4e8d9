/** The Node that mailmux needs. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { describeOldNode, LEAST_NODE } from '../../src/version.ts'

const root = join(import.meta.dirname, '../..')
const least = `${LEAST_NODE.major}.${LEAST_NODE.minor}`

test('names an older Node, and takes a newer one, and Bun', () => {
  for (const node of ['18.20.4', '20.20.2', '22.22.0', '24.9.0', '24.11.1'])
    assert.match(describeOldNode({ node }) ?? '', new RegExp(`needs Node ${least} or newer, and this is Node ${node}`))
  for (const node of ['24.12.0', '24.13.1', '25.0.0', '26.10.0', '100.0.0'])
    assert.equal(describeOldNode({ node }), undefined)
  assert.equal(describeOldNode({ node: '24.3.0', bun: '1.4.5' }), undefined)
})

test('is the same in package.json, in the Makefile and in README.md', () => {
  const read = (file: string): string => readFileSync(join(root, file), 'utf8')
  assert.equal((JSON.parse(read('package.json')) as { engines: { node: string } }).engines.node, `>=${least}`)
  assert.match(read('Makefile'), new RegExp(`-eq ${LEAST_NODE.major} \\] && \\[ .* -ge ${LEAST_NODE.minor} \\]`))
  const readme = read('README.md')
  const requirement = readme.indexOf(`needs Node ${least} or newer`)
  assert.ok(requirement > 0 && requirement < readme.indexOf('npm ci'), 'the requirement stands before the commands')
})
