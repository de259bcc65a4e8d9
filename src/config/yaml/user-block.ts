/**
 * Reads the block `users:` of a routing file line by line, at a small part of the cost of the YAML parser, where every line has one of
 * the usual forms: `name: store` and `name: {backend: store, login: name}`, plain or in quotes, with or without a comment. The result is
 * the tree that the parser would give. Where the block has any other form (an anchor, a tag, an escape, a variable), the parser reads it.
 */
import type { MapEntry, MapNode, Range, ScalarNode } from './nodes.ts'

export type UserBlock = {
  /** the text without the lines of the users */
  rest: string
  /** where the key `users` stands */
  keyAt: number
  /** the lines of the users, as offsets into the text */
  from: number
  to: number
  /** The users as a tree. A name that stands there twice goes to `onTwice`, in the order of the file. */
  build: (onTwice: (name: string, key: Range) => void) => MapNode
}

/** No user and no back end has a longer name. The parser reports longer texts. */
const MOST_CHARACTERS = 1024

// A plain text of letters, digits and signs that have no meaning in YAML inside of a text. A value must not begin like a number.
const LATER = String.raw`\p{L}\p{M}\p{N}._+=@~!$&'*-`
const PLAIN = String.raw`[\p{L}_][${LATER}]*`
const PLAIN_KEY = String.raw`[\p{L}\p{N}_][#${LATER}]*`
const QUOTED = String.raw`"[^"\\\p{C}\p{Z}]*"|'[^'\p{C}\p{Z}]*'`
const LINE = new RegExp(
  String.raw`(?<indent> +)(?<key>${PLAIN_KEY}|${QUOTED}):(?<gap> +)(?:(?<value>${PLAIN}|${QUOTED})|(?<map>\{[^{}\r\n]*\}))(?: +#[^\r\n]*| *)(?:\r?\n|$)`,
  'uy',
)
const PAIR = new RegExp(
  String.raw`(?<before> *)(?<key>backend|login):(?<gap> +)(?<value>${PLAIN}|${QUOTED}) *(?<end>,|\}$)`,
  'uy',
)
const BLANK_OR_COMMENT = /[ ]*(?:#[^\r\n]*)?\r?\n/uy
const OPENING = /^users:(?:[ ]+#[^\r\n]*|[ ]*)\r?\n/mu
/** Words that YAML 1.2.2 10.3.2 does not read as texts. */
const NO_TEXT = /^(?:true|True|TRUE|false|False|FALSE|null|Null|NULL)$/u

type Line = { name: string; entry: MapEntry; indent: string; end: number }

/** @returns undefined where the YAML parser has to read all of the text */
export function cutUserBlock(text: string): UserBlock | undefined {
  const opening = OPENING.exec(text)
  if (!opening) return undefined
  const from = opening.index + opening[0].length
  const lines: Line[] = []
  let to = from
  for (let at = from; at < text.length;) {
    BLANK_OR_COMMENT.lastIndex = at
    if (BLANK_OR_COMMENT.test(text)) {
      at = BLANK_OR_COMMENT.lastIndex
      continue
    }
    if (text[at] !== ' ') break
    const line = readLine(text, at)
    if (!line || line.indent !== (lines[0] ?? line).indent) return undefined
    lines.push(line)
    at = to = line.end
  }
  if (lines.length === 0) return undefined
  const build: UserBlock['build'] = (onTwice) => buildMap(lines, to, onTwice)
  return { rest: text.slice(0, from) + text.slice(to), keyAt: opening.index, from, to, build }
}

function readLine(text: string, at: number): Line | undefined {
  LINE.lastIndex = at
  const groups = LINE.exec(text)?.groups
  if (!groups) return undefined
  const end = LINE.lastIndex
  const { indent = '', key = '', gap = '', value, map = '' } = groups
  const name = unquote(key)
  if (name.length > MOST_CHARACTERS || name === '__proto__') return undefined
  const keyAt = at + indent.length
  const keyEnd = keyAt + key.length
  const valueAt = keyEnd + 1 + gap.length
  const node = value === undefined ? readFlowMap(map, valueAt) : readScalar(value, valueAt)
  return node && { name, entry: { key: [keyAt, keyEnd], node }, indent, end }
}

function readFlowMap(text: string, at: number): MapNode | undefined {
  const entries = new Map<string, MapEntry>()
  PAIR.lastIndex = 1
  for (;;) {
    const start = PAIR.lastIndex
    const groups = PAIR.exec(text)?.groups
    if (!groups) return undefined
    const { before = '', key = '', gap = '', value = '', end } = groups
    const keyAt = at + start + before.length
    const keyEnd = keyAt + key.length
    const node = readScalar(value, keyEnd + 1 + gap.length)
    if (!node || entries.has(key)) return undefined
    entries.set(key, { key: [keyAt, keyEnd], node })
    if (end !== ',') return { kind: 'map', range: [at, at + text.length], weight: 1 + entries.size, entries }
  }
}

function readScalar(text: string, at: number): ScalarNode | undefined {
  const value = unquote(text)
  // A variable, in its plain form not matched at all, is filled in by `source.ts`.
  if (value.length > MOST_CHARACTERS || value.includes('${') || NO_TEXT.test(text)) return undefined
  return { kind: 'scalar', range: [at, at + text.length], weight: 1, value }
}

function unquote(text: string): string {
  return text.startsWith('"') || text.startsWith("'") ? text.slice(1, -1) : text
}

function buildMap(lines: readonly Line[], to: number, onTwice: (name: string, key: Range) => void): MapNode {
  const entries = new Map<string, MapEntry>()
  let weight = 1
  for (const { name, entry } of lines) {
    if (entries.has(name)) onTwice(name, entry.key)
    else {
      entries.set(name, entry)
      weight += entry.node.weight
    }
  }
  return { kind: 'map', range: [lines[0]?.entry.key[0] ?? to, to], weight, entries }
}
