import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { z } from 'zod'
import { checkRules } from '../../../../src/config/check/rules.ts'
import { createReporter, readDraft } from '../../../../src/config/schema/read.ts'
import { ABSENT, keyRules, mapRules, WRITTEN } from '../../../../src/config/schema/rules.ts'
import { mainSchema, routingSchema } from '../../../../src/config/schema/schema.ts'
import { createProblems } from '../../../../src/config/yaml/problems.ts'
import { readSource } from '../../../../src/config/yaml/source.ts'

/** A map with a rule of each kind. */
function createMap() {
  return z
    .strictObject({
      mode: z
        .string()
        .default('on')
        .register(keyRules, {
          needs: [{ key: 'list', when: { mode: ['full'] }, message: 'full needs list', at: 'value' }],
        }),
      speed: z
        .number()
        .optional()
        .register(keyRules, {
          uselessWith: [
            { when: { mode: ['off'] }, message: (key) => `${key} does nothing while off` },
            { when: { list: WRITTEN }, message: 'does nothing beside list' },
          ],
          needs: [{ key: 'unit', message: 'needs unit' }],
        }),
      unit: z.string().optional(),
      list: z.array(z.string()).prefault([]),
    })
    .register(mapRules, { wrong: [{ when: { mode: ABSENT, speed: ABSENT }, message: 'says nothing' }] })
}

const schema = z.strictObject({
  one: createMap().optional(),
  many: z.array(createMap()).prefault([]),
  named: z.record(z.string(), z.union([z.string(), createMap()])).default({}),
})

/** The problems of a text, as `line:column message`. */
function check(text: string): string[] {
  const problems = createProblems()
  const draft = readDraft(schema, readSource('a.yaml', text, {}, problems), problems)
  checkRules(schema, draft, createReporter(draft, problems))
  return problems.list().map(({ spot, message }) => `${spot?.line}:${spot?.column} ${message}`)
}

describe('the pass over the rules of keys', () => {
  const cases: [it: string, text: string, expected: string[]][] = [
    ['accepts a map that breaks no rule', 'one: {mode: on, speed: 1, unit: s}', []],
    ['reports a needed key that is absent, at the key', 'one: {speed: 1}', ['1:7 needs unit']],
    ['reports at the value where the rule says so', 'one: {mode: full}', ['1:13 full needs list']],
    ['takes an empty list for an absent key', 'one: {mode: full, list: []}', ['1:13 full needs list']],
    ['reports nothing else about a useless key', 'one: {mode: off, speed: 1}', ['1:18 speed does nothing while off']],
    [
      'reports the first of two reasons why a key is useless',
      'one: {mode: off, speed: 1, list: [a]}',
      ['1:18 speed does nothing while off'],
    ],
    [
      'does not apply a rule to a value that is not understood',
      'one: {mode: 5, unit: s}',
      ['1:13 expected a text; write this number in quotes'],
    ],
    [
      'applies rules of a key whose own value is not understood',
      'one: {speed: x, unit: s, list: []}',
      ['1:7 does nothing beside list', '1:14 expected a number'],
    ],
    ['reports a map as a whole at its key', 'one: {unit: s}', ['1:1 says nothing']],
    ['visits the items of a list', 'many: [{speed: 1, unit: s}, {speed: 1}]', ['1:30 needs unit']],
    ['visits the maps of a record, and passes over texts', 'named: {a: text, b: {speed: 1}}', ['1:22 needs unit']],
  ]
  for (const [it, text, expected] of cases) test(it, () => assert.deepEqual(check(text), expected))
})

/** Each rule of a schema whose condition or need names a key that its map does not have. */
function findUnknownKeys(part: z.core.$ZodType): string[] {
  if (part instanceof z.ZodOptional || part instanceof z.ZodDefault || part instanceof z.ZodPrefault)
    return findUnknownKeys(part.unwrap())
  if (part instanceof z.ZodUnion) return part.options.flatMap(findUnknownKeys)
  if (part instanceof z.ZodRecord) return findUnknownKeys(part.valueType)
  if (part instanceof z.ZodArray) return findUnknownKeys(part.element)
  if (!(part instanceof z.ZodObject)) return []
  const shape: Record<string, z.core.$ZodType> = part.shape
  const named = [
    ...(mapRules.get(part)?.wrong ?? []).flatMap(({ when }) => Object.keys(when)),
    ...Object.values(shape).flatMap((value) => {
      const { uselessWith = [], needs = [] } = keyRules.get(value) ?? {}
      return [...uselessWith, ...needs].flatMap((rule) => [
        ...Object.keys(rule.when ?? {}),
        ...('key' in rule ? [rule.key] : []),
      ])
    }),
  ]
  return [...named.filter((key) => !Object.hasOwn(shape, key)), ...Object.values(shape).flatMap(findUnknownKeys)]
}

test('the rules of both files name only keys of their maps', () => {
  assert.deepEqual([mainSchema, routingSchema].flatMap(findUnknownKeys), [])
  const wrong = z.strictObject({ a: z.string().register(keyRules, { needs: [{ key: 'b', message: 'needs b' }] }) })
  assert.deepEqual(findUnknownKeys(wrong), ['b'])
})
