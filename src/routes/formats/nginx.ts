/** The body of nginx's `map`, with or without the block around it: `alice@example.test 10.0.0.11:143;`. */
import { show, showUser, type FileRoute, type ReadBlock, type WrongLine } from './format.ts'

const WORD = String.raw`"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|[^\s;{}"']+`
const BLOCK = new RegExp(String.raw`^\s*map\s+(?:${WORD})\s+(?:${WORD})\s*\{?\s*$`, 'u')
const ENTRY = new RegExp(String.raw`\s*(${WORD})\s+(${WORD})\s*;`, 'uy')
/** Parameters of the block, of which none is a route. */
const PARAMETER = /^\s*(?:hostnames|volatile)\s*;\s*$/u

export function createNginxReader(): ReadBlock {
  return ({ first, lines }) =>
    lines.flatMap((text, index) => {
      const statement = withoutComment(text)
      return /^[\s{}]*$/u.test(statement) || BLOCK.test(statement) || PARAMETER.test(statement)
        ? []
        : readLine(statement, first + index)
    })
}

function readLine(statement: string, line: number): (FileRoute | WrongLine)[] {
  const entries: (FileRoute | WrongLine)[] = []
  let at = 0
  while (at < statement.length) {
    ENTRY.lastIndex = at
    const match = ENTRY.exec(statement)
    if (!match) {
      if (!/^[\s}]*$/u.test(statement.slice(at)))
        entries.push({ line, why: 'no entry of a map, which is: user host:port;' })
      break
    }
    at = ENTRY.lastIndex
    entries.push(toRoute(unquote(match[1] ?? ''), unquote(match[2] ?? ''), line))
  }
  return entries
}

function toRoute(user: string, target: string, line: number): FileRoute | WrongLine {
  if (user === 'include') return { line, why: `the file ${show(target)} is not read: import it too` }
  if (user === 'default')
    return {
      line,
      why: 'mailmux has no default for users without a route: see `placement` and `domains` of the routing file',
    }
  if (user.startsWith('~')) return { line, why: 'a regular expression is no user' }
  return target.includes('$') ? { line, why: `the value for ${showUser(user)} has a variable` } : { line, user, target }
}

function unquote(word: string): string {
  return /^["']/u.test(word) ? word.slice(1, -1).replace(/\\(.)/gu, '$1') : word
}

/** A `#` begins a comment where a word could begin. */
function withoutComment(text: string): string {
  const at = text.search(/(?:^|[\s;{}])#/u)
  return at === -1 ? text : text.slice(0, text.indexOf('#', at))
}
