/** JSON Lines: one object a line, such as `{"user": "alice@example.test", "backend": "store1"}`. */
import { z } from 'zod'
import { show, type FileRoute, type ReadBlock, type WrongLine } from './format.ts'

const entry = z.strictObject({
  user: z.string(),
  backend: z.string(),
  login: z.string().nullish(),
  status: z.string().nullish(),
})

export function createJsonLinesReader(): ReadBlock {
  return ({ first, lines }) =>
    lines.flatMap((text, index) => (text.trim() === '' ? [] : [readLine(text, first + index)]))
}

function readLine(text: string, line: number): FileRoute | WrongLine {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return { line, why: 'no JSON object' }
  }
  const read = entry.safeParse(json)
  if (read.success) {
    const { user, backend, login, status } = read.data
    return { line, user, target: backend, login, status: status === null ? 'active' : status }
  }
  const [issue] = read.error.issues
  const at = issue?.path.join('.') ?? ''
  if (issue?.code === 'unrecognized_keys') return { line, why: `unknown key ${issue.keys.map(show).join(', ')}` }
  return { line, why: at === '' ? 'no JSON object' : `${at} must be a text` }
}
