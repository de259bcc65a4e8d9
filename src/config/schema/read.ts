/**
 * Holds a file's tree against its schema, value by value, so that one mistake does not hide the next:
 * zod alone gives no data at all once anything is wrong, and the cross-checks would have nothing to look at.
 */
import { z } from 'zod'
import { renamedKeys } from './fields.ts'
import { didYouMean, type Problems } from '../yaml/problems.ts'
import type { Endpoint, ListenAddress } from '../settings.ts'
import { isUnknown, locate, toPlain, type Source } from '../yaml/source.ts'
import type { RedisUrl } from './values.ts'
import type { Range, YamlNode } from '../yaml/nodes.ts'

type Whole = string | number | boolean | ListenAddress | ListenAddress[] | Endpoint | RedisUrl | undefined

/** What a schema gives, with a hole wherever something was wrong; the mistake is told already, so a check passes holes by. */
export type Tolerant<T> = T extends Whole
  ? T
  : T extends (infer E)[]
    ? (Tolerant<E> | undefined)[]
    : { [K in keyof T]?: Tolerant<T[K]> | undefined }

/** A file and what was understood of it. */
export type Draft<S extends z.ZodType> = { source: Source; value: Tolerant<z.output<S>> | undefined }

/** Reads a whole file's tree; reports unknown keys, missing keys and bad values, each with its place. */
export function readDraft<S extends z.ZodType>(schema: S, source: Source, problems: Problems): Draft<S> {
  const fail = (range: Range, message: string): void => problems.error(source.file, source.spot(range), message)
  if (source.root === undefined) return { source, value: undefined }
  // The schema is walked by its own parts, which is what makes the result fit this type.
  const value = readNode(schema, source.root, fail) as Tolerant<z.output<S>> | undefined
  return { source, value }
}

/** Reports at a path of a draft: what the cross-checks use. */
export function createReporter(draft: { source: Source }, problems: Problems): Reporter {
  const { source } = draft
  return {
    error: (path, message, part) => problems.error(source.file, locate(source, path, part), message),
    warn: (path, message, part) => problems.warn(source.file, locate(source, path, part), message),
  }
}

export type Path = readonly (string | number)[]
type Report = (path: Path, message: string, part?: 'key' | 'value') => void
export type Reporter = { error: Report; warn: Report }

type Fail = (range: Range, message: string) => void

function readNode(schema: z.core.$ZodType, node: YamlNode, fail: Fail): unknown {
  if (isUnknown(node)) return undefined
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodDefault || schema instanceof z.ZodPrefault) {
    return readNode(schema.unwrap(), node, fail)
  }
  if (schema instanceof z.ZodUnion) return readNode(chooseOption(schema, node), node, fail)
  if (schema instanceof z.ZodObject) return readObject(schema, node, fail)
  if (schema instanceof z.ZodRecord) {
    if (node.kind !== 'map') {
      refuse(node, EXPECTED_MAP, fail)
      return
    }
    const entries = [...node.entries]
    return Object.fromEntries(entries.map(([name, entry]) => [name, readNode(schema.valueType, entry.node, fail)]))
  }
  if (schema instanceof z.ZodArray) {
    if (node.kind !== 'list') {
      refuse(node, 'expected a list', fail)
      return
    }
    // An empty list has no items to be wrong; whether it may be empty is the list's own rule.
    if (node.items.length === 0) return readLeaf(schema, node, fail)
    return node.items.map((item) => readNode(schema.element, item, fail))
  }
  return readLeaf(schema, node, fail)
}

function readObject(schema: z.ZodObject, node: YamlNode, fail: Fail): unknown {
  if (node.kind !== 'map') return refuse(node, EXPECTED_MAP, fail)
  const { shape } = schema
  const renamed = renamedKeys.get(schema) ?? {}
  for (const [name, entry] of node.entries) {
    if (Object.hasOwn(shape, name)) continue
    const newName = renamed[name]
    if (newName !== undefined) {
      fail(entry.key, `"${name}" is now "${newName}"`)
      // Read as if it had its new name, so that no check reports the new key as missing.
      if (!node.entries.has(newName)) node.entries.set(newName, entry)
      continue
    }
    const unused = Object.keys(shape).filter((key) => !node.entries.has(key))
    fail(entry.key, `unknown key "${name}"${didYouMean(name, unused)}`)
  }
  const read = Object.entries<z.core.$ZodType>(shape).map(([name, part]) => {
    const entry = node.entries.get(name)
    if (entry !== undefined) return [name, readNode(part, entry.node, fail)] as const
    const absent = z.safeParse(part, undefined)
    if (!absent.success) fail(node.range, `missing key "${name}"`)
    return [name, absent.data] as const
  })
  return Object.fromEntries(read)
}

function readLeaf(schema: z.core.$ZodType, node: YamlNode, fail: Fail): unknown {
  const result = z.safeParse(schema, toPlain(node))
  if (result.success) return result.data
  const [issue] = result.error.issues
  // zod's own words for a wrong type are replaced; a schema that has better ones of its own keeps them.
  if (issue?.code === 'invalid_type' && issue.message.startsWith('Invalid input')) {
    refuse(node, `expected ${TYPE_NAMES[issue.expected] ?? issue.expected}`, fail)
    return
  }
  return refuse(node, issue?.message ?? 'not valid here', fail)
}

const EXPECTED_MAP = 'expected keys with values'

const TYPE_NAMES: Partial<Record<string, string>> = {
  string: 'a text',
  boolean: 'true or false',
  int: 'a whole number',
  number: 'a number',
}

/** The option of a union that has the node's own form; the last one where none has, for its error message. */
export function chooseOption(schema: z.ZodUnion, node: YamlNode): z.core.$ZodType {
  const fits = (option: z.core.$ZodType): boolean => {
    const kind = option instanceof z.ZodObject ? 'map' : option instanceof z.ZodArray ? 'list' : 'scalar'
    return kind === node.kind
  }
  return schema.options.find(fits) ?? schema.options.at(-1) ?? schema
}

/** An error that says what stands there instead, where its form is the trouble. */
function refuse(node: YamlNode, message: string, fail: Fail): unknown {
  let found = ''
  if (node.kind === 'scalar' && node.value === null)
    found = `; nothing stands here${message === EXPECTED_MAP ? ' ({} for none)' : ''}`
  else if (message === 'expected a text' && node.kind === 'scalar')
    found = `; write this ${typeof node.value} in quotes`
  fail(node.range, `${message}${found}`)
  return undefined
}
