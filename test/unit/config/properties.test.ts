import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import fc from 'fast-check'
import { loadConfig } from '../../../src/config/load.ts'
import { certificate, temporaryDirectory } from './fixture.ts'

const RUBBISH = fc.string({ unit: 'binary', maxLength: 40 })

test('never throws on random bytes', (t) => {
  const directory = temporaryDirectory(t)
  const main = path.join(directory, 'mailmux.yaml')
  const bytes = fc.uint8Array({ maxLength: 200 })
  fc.assert(
    fc.property(bytes, bytes, (one, other) => {
      fs.writeFileSync(main, one)
      fs.writeFileSync(path.join(directory, 'routing.yaml'), other)
      assert.equal(loadConfig(main, {}).settings, undefined)
    }),
  )
})

test('never throws on mutated files, and has settings exactly where it has no error', (t) => {
  const directory = temporaryDirectory(t)
  const main = path.join(directory, 'mailmux.yaml')
  const pair = certificate('mail')
  for (const [name, text] of Object.entries(pair)) fs.writeFileSync(path.join(directory, name), text)
  const example = (name: string): string => fs.readFileSync(new URL(`../../../config/${name}`, import.meta.url), 'utf8')
  const texts = { 'mailmux.yaml': example('mailmux.yaml'), 'routing.yaml': example('routing.yaml') }
  const insert = fc.oneof(
    RUBBISH,
    fc.constantFrom('', ' ', '\n', ': ', '*a', '&a ', '<<: ', '[', '}', '0', '-1', '~', "''"),
  )
  const mutation = fc.tuple(fc.nat({ max: 6000 }), fc.nat({ max: 12 }), insert)
  fc.assert(
    fc.property(fc.array(mutation, { maxLength: 4 }), fc.array(mutation, { maxLength: 4 }), (inMain, inRouting) => {
      for (const [name, mutations] of [
        ['mailmux.yaml', inMain],
        ['routing.yaml', inRouting],
      ] as const) {
        const mutate = (text: string, [at, cut, put]: [number, number, string]): string => {
          const from = at % text.length
          return text.slice(0, from) + put + text.slice(from + cut)
        }
        fs.writeFileSync(path.join(directory, name), mutations.reduce(mutate, texts[name]))
      }
      const { settings, problems } = loadConfig(main, {})
      assert.equal(
        settings === undefined,
        problems.some(({ severity }) => severity === 'error'),
      )
    }),
    { numRuns: 200 },
  )
})
