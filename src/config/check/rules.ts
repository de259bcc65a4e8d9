/** Evaluates the rules that schema/rules.ts declares, in one pass over a file. */
import { z } from 'zod'
import { chooseOption, type Path, type Reporter } from '../schema/read.ts'
import { keyRules, mapRules, WRITTEN, ABSENT, type Condition, type KeyRules } from '../schema/rules.ts'
import type { MapNode, YamlNode } from '../yaml/nodes.ts'
import type { Source } from '../yaml/source.ts'

type Check = (node: YamlNode, value: unknown, path: Path) => void

/** @param draft the file and its values, as `readDraft` returns them for this schema */
export function checkRules(schema: z.ZodType, draft: { source: Source; value: unknown }, report: Reporter): void {
  const { source, value } = draft
  if (source.root !== undefined) compile(schema, report)?.(source.root, value, [])
}

/** @returns undefined where nothing in the schema has a rule, so that the pass does not visit a million users */
function compile(schema: z.core.$ZodType, report: Reporter): Check | undefined {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault)
    return compile(schema.unwrap(), report)
  if (schema instanceof z.ZodUnion) return compileUnion(schema, report)
  if (schema instanceof z.ZodObject) return compileObject(schema, report)
  if (schema instanceof z.ZodRecord) {
    const check = compile(schema.valueType, report)
    return (
      check &&
      ((node, value, path) => {
        if (node.kind !== 'map') return
        for (const [key, entry] of node.entries) check(entry.node, valueAt(value, key), [...path, key])
      })
    )
  }
  if (schema instanceof z.ZodArray) {
    const check = compile(schema.element, report)
    return (
      check &&
      ((node, value, path) => {
        if (node.kind !== 'list') return
        node.items.forEach((item, index) => check(item, valueAt(value, index), [...path, index]))
      })
    )
  }
  return undefined
}

function compileUnion(schema: z.ZodUnion, report: Reporter): Check | undefined {
  const checks = new Map(schema.options.map((option) => [option, compile(option, report)]))
  if ([...checks.values()].every((check) => check === undefined)) return undefined
  return (node, value, path) => checks.get(chooseOption(schema, node))?.(node, value, path)
}

function compileObject(schema: z.ZodObject, report: Reporter): Check | undefined {
  const ofMap = mapRules.get(schema)?.wrong ?? []
  const parts = Object.entries<z.core.$ZodType>(schema.shape).flatMap(([key, part]) => {
    const [rules, inside] = [keyRules.get(part), compile(part, report)]
    return rules || inside ? [{ key, rules, inside }] : []
  })
  if (ofMap.length + parts.length === 0) return undefined
  return (node, value, path) => {
    if (node.kind !== 'map') return
    for (const { when, message } of ofMap) {
      if (holds(when, node, value)) report.error(path, textOf(message, String(path.at(-1))), 'key')
    }
    for (const { key, rules, inside } of parts) {
      const entry = node.entries.get(key)
      if (entry === undefined) continue
      if (rules) checkKey(key, rules, { node, value, path, report })
      inside?.(entry.node, valueAt(value, key), [...path, key])
    }
  }
}

type KeyContext = { node: MapNode; value: unknown; path: Path; report: Reporter }

function checkKey(
  key: string,
  { uselessWith = [], needs = [] }: KeyRules,
  { node, value, path, report }: KeyContext,
): void {
  const useless = uselessWith.find(({ when }) => holds(when, node, value))
  const lacking = needs.filter(({ key: other, when = {} }) => isMissing(other, node, value) && holds(when, node, value))
  for (const { message, at = 'key' } of useless ? [useless] : lacking)
    report.error([...path, key], textOf(message, key), at)
}

function textOf(message: string | ((key: string) => string), key: string): string {
  return typeof message === 'string' ? message : message(key)
}

function isMissing(key: string, node: MapNode, values: unknown): boolean {
  const value = valueAt(values, key)
  return !node.entries.has(key) || (Array.isArray(value) && value.length === 0)
}

function holds(condition: Condition, node: MapNode, values: unknown): boolean {
  return Object.entries(condition).every(([key, test]) => {
    if (test === WRITTEN) return node.entries.has(key)
    if (test === ABSENT) return !node.entries.has(key)
    const value = valueAt(values, key)
    return typeof test === 'function' ? test(value as never) : test.some((one) => one === value)
  })
}

function valueAt(values: unknown, key: string | number): unknown {
  return typeof values === 'object' && values !== null && Object.hasOwn(values, key)
    ? Reflect.get(values, key)
    : undefined
}
