/**
 * Dovecot's passwd-file (https://doc.dovecot.org, passwd-file): `user:password:uid:gid:gecos:home:shell:extra fields`. Of the extra fields
 * of a proxy, `host` (or `hostip`) says where the user belongs, and `destuser` the name there. Passwords are not read.
 */
import { hostPort } from '../../net/address.ts'
import { showUser, type FileRoute, type ReadBlock, type WrongLine } from './format.ts'

/** The extra fields are behind the seventh colon. */
const COLONS = 7

export function createDovecotReader(): ReadBlock {
  return ({ first, lines }) =>
    lines.flatMap((text, index) => (text.trim() === '' || text.startsWith('#') ? [] : [readLine(text, first + index)]))
}

function readLine(text: string, line: number): FileRoute | WrongLine {
  const colon = text.indexOf(':')
  if (colon <= 0) return { line, why: 'no line of a passwd-file: no colon behind a user' }
  const user = text.slice(0, colon)
  const fields = readFields(behindColons(text))
  const port = fields.get('port')
  const host = fields.get('host') ?? fields.get('proxy_host') ?? fields.get('hostip')
  if (host === undefined || host === '')
    return { line, why: `no host for ${showUser(user)}: no proxy in the extra fields` }
  const target = port === undefined ? host : hostPort(host, Number(port))
  const login = fields.get('destuser')
  if (login?.includes('%') === true) return { line, why: `destuser of ${showUser(user)} has a variable` }
  return { line, user, target, login: login === '' ? undefined : login }
}

function behindColons(text: string): string {
  let at = -1
  for (let count = 0; count < COLONS; count++) {
    const next = text.indexOf(':', at + 1)
    if (next === -1) return ''
    at = next
  }
  return text.slice(at + 1)
}

/** `userdb_` and `passdb_` say for which of both a field is. */
function readFields(text: string): Map<string, string> {
  const fields = new Map<string, string>()
  for (const word of text.split(/[ \t]+/u)) {
    const equals = word.indexOf('=')
    if (equals === -1) continue
    fields.set(word.slice(0, equals).replace(/^(?:userdb|passdb)_/u, ''), word.slice(equals + 1))
  }
  return fields
}
