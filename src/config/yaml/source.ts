/**
 * One YAML file as a tree in which every key and value has its position: aliases followed, merge keys applied, variables filled in.
 * The tree is built here and not by `toJS()`, which loses positions, throws on a bad alias, and does not report duplicate keys
 * (`uniqueKeys` of the library compares each key with each other: 12 s for 20,000 users).
 * Over 250 lines: the tree and its bounds are built in one recursive pass.
 */
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Pair } from 'yaml'
import { rethrowShortage } from '../../errors.ts'
import { createLineIndex } from './line-index.ts'
import type { MapEntry, MapNode, Range, ScalarNode, YamlNode } from './nodes.ts'
import type { Problems, Spot } from './problems.ts'
import { cutUserBlock, type UserBlock } from './user-block.ts'
import { fillVariables, type Environment } from './variables.ts'

export type Source = {
  /** as the operator named it, for messages */
  file: string
  /** undefined where the text is no YAML: its errors are reported, and nothing else can be said about it */
  root: YamlNode | undefined
  spot: (range: Range) => Spot
}

/** More than a file of 100,000 users needs; nested aliases that expand exponentially exceed it at once. */
const MAX_NODES = 1_000_000

/**
 * Characters of one key or value. The longest that makes sense is a list of ciphers, of about 2,000. Patterns of the schema would
 * exhaust the stack over megabytes, and messages would repeat them.
 */
const MAX_TEXT = 4096
const TOO_LONG = `longer than ${MAX_TEXT} characters`

/** Both files are five levels deep at most. Deeper ones must not exhaust the stack. */
const MAX_DEPTH = 100

/**
 * Parses one file's text. Whatever is wrong in it becomes a problem with its place.
 * @throws MuxError `local-shortage` where this machine has no memory for it
 * @param cut for tests of the two ways to read users
 */
export function readSource(
  file: string,
  text: string,
  env: Environment,
  problems: Problems,
  cut: (text: string) => UserBlock | undefined = cutUserBlock,
): Source {
  const spotAt = createLineIndex(text)
  const spot = ([from, to]: Range): Spot => spotAt(from, to)
  const fail = (range: Range, message: string): void => problems.error(file, spot(range), message)

  try {
    const users = cut(text)
    const root = (users && readWithout(users, text, env, fail)) ?? readWhole(text, env, fail)
    return { file, root, spot }
  } catch (error) {
    rethrowShortage(error, `${file} cannot be read`)
    problems.error(file, undefined, `cannot be read as YAML: ${error instanceof Error ? error.message : String(error)}`)
    return { file, root: undefined, spot }
  }
}

type Fail = (range: Range, message: string) => void

function readWhole(text: string, env: Environment, fail: Fail): YamlNode | undefined {
  const lineCounter = new LineCounter()
  const document = parseDocument(text, { ...PARSE_OPTIONS, lineCounter })
  const errors = [...document.errors, ...document.warnings]
  // One mistake causes several errors of the parser; only the first error of a line is useful.
  const told = new Set<number>()
  for (const { pos, code, message } of errors) {
    const { line } = lineCounter.linePos(Math.min(pos[0], text.length))
    if (!told.has(line)) fail(pos, SYNTAX_MESSAGES[code] ?? message)
    told.add(line)
  }
  // YAML 1.1 reads `no` and `off` as false: the same file would mean two things.
  if (document.directives.yaml.version === '1.1') fail([0, 1], 'this file asks for YAML 1.1; only 1.2 is read')
  const root = buildTree(document.contents, { text, env, fail })
  return errors.length === 0 ? root : undefined
}

/** @returns undefined where the rest of the text has an error, or the lines are not the value of the key `users` of its root */
function readWithout(users: UserBlock, text: string, env: Environment, fail: Fail): YamlNode | undefined {
  const { contents, errors, warnings, directives } = parseDocument(users.rest, PARSE_OPTIONS)
  if (errors.length > 0 || warnings.length > 0 || directives.yaml.version === '1.1') return undefined
  if (!isMap(contents) || contents.flow === true) return undefined
  const value = contents.items.find(({ key }) => isScalar(key) && key.range[0] === users.keyAt)?.value
  // Without extent: a `null` that is written, an anchor or a tag could not be followed by users.
  const isLeftOut = isScalar(value) && value.range[0] === value.range[1] && !value.anchor && !value.tag
  if (!isLeftOut) return undefined
  return buildTree(contents, { text, env, fail, users: { ...users, value } })
}

const PARSE_OPTIONS = { merge: true, stringKeys: true, uniqueKeys: false, prettyErrors: false } as const

const SYNTAX_MESSAGES: Partial<Record<string, string>> = {
  MULTIPLE_DOCS: 'a second document begins here; one file holds one',
  BLOCK_AS_IMPLICIT_KEY: 'wrong indentation, or a ": " inside a text that should be in quotes',
  RESOURCE_EXHAUSTION: 'nested too deeply',
}

type TreeParts = {
  text: string
  env: Environment
  fail: Fail
  /** read already, and the node that stands in their place */
  users?: UserBlock & { value: unknown }
}

function buildTree(contents: unknown, { text, env, fail, users }: TreeParts): YamlNode {
  /** `'open'` while the anchored value itself is being built: an alias met then would contain itself */
  const anchors = new Map<string, YamlNode | 'open'>()
  let nodes = 0
  const rangeOf = (node: unknown, fallback: Range): Range => findRange(node, fallback, users)

  function build(node: unknown, fallback: Range, depth: number): YamlNode {
    if (isAlias(node)) return follow(node.source, rangeOf(node, fallback))
    const anchor = isMap(node) || isSeq(node) || isScalar(node) ? node.anchor : undefined
    if (anchor !== undefined) anchors.set(anchor, 'open')
    const built = buildPlain(node, fallback, depth)
    if (anchor !== undefined) anchors.set(anchor, built)
    return built
  }

  function buildPlain(node: unknown, fallback: Range, depth: number): YamlNode {
    if (users && node === users.value) {
      const built = users.build((name, key) => fail(key, twice(name)))
      nodes += built.weight
      return built
    }
    const range = rangeOf(node, fallback)
    nodes++
    if (depth > MAX_DEPTH) {
      fail(range, 'nested too deeply')
      return emptyAt(range)
    }
    if (isMap(node)) return buildMap(node.items, range, depth)
    if (isSeq(node)) {
      const items = node.items.map((item) => build(item, range, depth + 1))
      return { kind: 'list', range, weight: weigh(items), items }
    }
    if (!isScalar(node)) return emptyAt(range)
    if (typeof node.value !== 'string') return { kind: 'scalar', range, weight: 1, value: node.value }
    const filled = node.value.length > MAX_TEXT ? undefined : fillVariables(node.value, env)
    if (filled === undefined || ('value' in filled && filled.value.length > MAX_TEXT)) {
      fail([range[0], range[0] + 1], TOO_LONG)
      return { kind: 'scalar', range, weight: 1, value: UNKNOWN }
    }
    if ('value' in filled) return { kind: 'scalar', range, weight: 1, value: filled.value }
    const at = text.indexOf(filled.at, range[0])
    fail(at === -1 || at >= range[1] ? range : [at, at + filled.at.length], filled.wrong)
    return { kind: 'scalar', range, weight: 1, value: UNKNOWN }
  }

  function follow(name: string, range: Range): YamlNode {
    const target = anchors.get(name)
    if (target === undefined) fail(range, `no anchor &${name} stands before this`)
    else if (target === 'open') fail(range, `&${name} would contain itself`)
    else if ((nodes += target.weight) > MAX_NODES) fail(range, 'the aliases of this file expand to too much')
    else return target
    return { kind: 'scalar', range, weight: 1, value: UNKNOWN }
  }

  function buildMap(pairs: Pair[], range: Range, depth: number): MapNode {
    const entries = new Map<string, MapEntry>()
    const merged: YamlNode[] = []
    for (const { key, value } of pairs) {
      const keyRange = rangeOf(key, range)
      const node = build(value, keyRange, depth + 1)
      const name = isScalar(key) ? key.value : undefined
      if (isMergeKey(key)) merged.push(...(node.kind === 'list' ? node.items : [node]))
      // `__proto__` would be lost by everything that later copies the entries into an object.
      else if (typeof name !== 'string' || name === '__proto__') fail(keyRange, 'not usable as a key')
      else if (name.length > MAX_TEXT) fail([keyRange[0], keyRange[0] + 1], TOO_LONG)
      else if (entries.has(name)) fail(keyRange, twice(name))
      else entries.set(name, { key: keyRange, node })
    }
    // As `yaml` itself does: what is written in the map wins, then the first of the merged ones.
    for (const source of merged) {
      if (source.kind === 'map')
        for (const [name, entry] of source.entries) {
          if (!entries.has(name)) entries.set(name, entry)
        }
      else if (!isUnknown(source)) fail(source.range, 'only a map can be merged with <<')
    }
    return { kind: 'map', range, weight: weigh(Array.from(entries.values(), ({ node }) => node)), entries }
  }

  return build(contents, [0, 1], 0)
}

/** Stands for a value about which an error was already told; it fits everywhere, so that no second error follows from the first. */
export const UNKNOWN = Symbol('a value already found wrong')

export function isUnknown(node: YamlNode): boolean {
  return node.kind === 'scalar' && node.value === UNKNOWN
}

function emptyAt(range: Range): ScalarNode {
  return { kind: 'scalar', range, weight: 1, value: null }
}

function weigh(nodes: Iterable<YamlNode>): number {
  let weight = 1
  for (const node of nodes) weight += node.weight
  return weight
}

function twice(name: string): string {
  return `"${name}" stands here twice`
}

/**
 * A value left out (`tls:` and nothing more) has no extent of its own: its key is shown in its place.
 * @param cut the lines that the parser did not see
 */
function findRange(node: unknown, fallback: Range, cut: { from: number; to: number } | undefined): Range {
  const range = isAlias(node) || isMap(node) || isSeq(node) || isScalar(node) ? node.range : undefined
  if (range === undefined || range === null || range[1] <= range[0]) return fallback
  if (!cut) return [range[0], range[1]]
  const shift = (offset: number): number => (offset < cut.from ? offset : offset + cut.to - cut.from)
  return [shift(range[0]), shift(range[1])]
}

/** `<<` as a word; in quotes it is a key like any other, as in the library. */
function isMergeKey(key: unknown): boolean {
  return isScalar(key) && (key.type === undefined || key.type === 'PLAIN') && key.value === '<<'
}

/** The place of a path, or of the nearest thing above it that is written: a default has no place of its own. */
export function locate(source: Source, path: readonly (string | number)[], part: 'key' | 'value' = 'value'): Spot {
  let range: Range = [0, 1]
  let node = source.root
  for (const step of path) {
    if (node?.kind === 'map') {
      const entry = node.entries.get(String(step))
      if (entry === undefined) break
      range = part === 'key' || entry.node.kind !== 'scalar' ? entry.key : entry.node.range
      node = entry.node
    } else if (node?.kind === 'list') {
      const item = node.items[Number(step)]
      if (item === undefined) break
      range = item.range
      node = item
    } else break
  }
  return source.spot(range)
}

/** Whether a path is written in the file, as opposed to left to its default. */
export function isWritten(source: Source, path: readonly (string | number)[]): boolean {
  let node = source.root
  for (const step of path) {
    if (node?.kind === 'map') node = node.entries.get(String(step))?.node
    else node = node?.kind === 'list' ? node.items[Number(step)] : undefined
    if (node === undefined) return false
  }
  return true
}

/** The tree as plain values, as a schema takes them. */
export function toPlain(node: YamlNode): unknown {
  if (node.kind === 'scalar') return node.value
  if (node.kind === 'list') return node.items.map(toPlain)
  return Object.fromEntries(Array.from(node.entries, ([name, entry]) => [name, toPlain(entry.node)]))
}
