/** Routes in the formats that `import` reads. */
import type { ListedRoute } from '../scan.ts'
import type { BackendNames } from './backend-names.ts'
import type { FormatName } from './format.ts'

/** @returns the line of a route with its end; undefined if the format cannot have all of it */
export type WriteRoute = (route: ListedRoute) => string | undefined

export type FileWriter = { head: string; write: WriteRoute; tail: string }

export function createFileWriter(format: FormatName, { hostOf }: Pick<BackendNames, 'hostOf'>): FileWriter {
  switch (format) {
    case 'csv':
      return { head: 'user,backend,login,status\n', write: toCsv, tail: '' }
    case 'jsonl':
      return { head: '', write: toJson, tail: '' }
    case 'dovecot':
      return { head: '', write: (route) => toPasswd(route, hostOf), tail: '' }
    case 'nginx':
      return { head: 'map $mailmux_user $mailmux_backend {\n', write: (route) => toMap(route, hostOf), tail: '}\n' }
  }
}

function toCsv({ user, backend = '', login = '', status = 'active' }: ListedRoute): string {
  return `${[user, backend, login, status].map(quoteCell).join(',')}\n`
}

/** RFC 4180 2: fields with a quote, a comma or a line end. A semicolon or a tab would be read as a delimiter elsewhere. */
function quoteCell(cell: string): string {
  return /[",;\t\r\n]|^[#\s]|\s$/u.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell
}

/** null removes at the import what Redis has: the file is the whole route. */
function toJson({ user, backend = '', login, status = 'active' }: ListedRoute): string {
  return `${JSON.stringify({ user, backend, login: login ?? null, status })}\n`
}

/** An extra field ends at a space, the name of a user at a colon, and a line that begins with `#` is a comment. */
function toPasswd(route: ListedRoute, hostOf: BackendNames['hostOf']): string | undefined {
  const { user, backend, login, status = 'active' } = route
  const isWritable = (text: string): boolean => !/[\s:]/u.test(text)
  if (backend === undefined || status !== 'active' || user.startsWith('#')) return undefined
  if (![user, backend, login ?? ''].every(isWritable)) return undefined
  return `${user}:::::::proxy=y host=${hostOf(backend, false)}${login === undefined ? '' : ` destuser=${login}`}\n`
}

/** What is no user in a map, in quotes too. */
const NO_KEY = /^(?:~|default$|include$|hostnames$|volatile$)/u

function toMap(route: ListedRoute, hostOf: BackendNames['hostOf']): string | undefined {
  const { user, backend, login, status = 'active' } = route
  if (backend === undefined || login !== undefined || status !== 'active' || NO_KEY.test(user)) return undefined
  return `  ${quoteWord(user)} ${quoteWord(hostOf(backend, true))};\n`
}

function quoteWord(word: string): string {
  return /^[\w.@+=:[\]-]+$/u.test(word) ? word : `"${word.replace(/["\\]/gu, String.raw`\$&`)}"`
}
