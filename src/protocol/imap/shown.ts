/** What a trace shows of IMAP: before login the commands of RFC 9051 6.1 and 6.2, after it the names of commands and the status responses. */
import { MECHANISMS } from '../../config/settings.ts'
import { parseStrings } from '../reader.ts'
import { HIDDEN, showBare, showLines, type SeenLine, type SessionView } from '../shown.ts'
import { parseCommandStart, parseIdPairs, parseStatus } from './parse.ts'

/** Before login. */
const BARE = new Set(['CAPABILITY', 'NOOP', 'LOGOUT', 'STARTTLS', 'ENABLE'])

/** What clients and proxies tell of themselves (RFC 2971 3.3, and the keys of proxies). A value under another key is hidden. */
const ID_KEYS = new Set([
  'name',
  'version',
  'os',
  'os-version',
  'vendor',
  'x-session-id',
  'x-originating-ip',
  'x-originating-port',
  'x-connected-ip',
  'x-connected-port',
  'x-connected-name',
  'x-proxy-ttl',
  'x-client-transport',
])

/** After login. Their arguments are names of mailboxes, numbers of messages and flags. */
const SESSION_COMMANDS = new Set(
  (
    'ENABLE SELECT EXAMINE CREATE DELETE RENAME SUBSCRIBE UNSUBSCRIBE LIST LSUB XLIST STATUS FETCH STORE COPY MOVE GETQUOTA ' +
    'GETQUOTAROOT MYRIGHTS COMPRESS'
  ).split(' '),
)
/** They have no arguments. */
const ALONE = new Set(
  'CAPABILITY NOOP LOGOUT NAMESPACE IDLE CLOSE UNSELECT EXPUNGE CHECK STARTTLS UNAUTHENTICATE'.split(' '),
)
/** Their arguments may hold contents. */
const NAMES_ONLY = new Set(
  'ID SEARCH SORT THREAD APPEND REPLACE UID SETQUOTA SETACL GETACL DELETEACL LISTRIGHTS GETMETADATA SETMETADATA NOTIFY ESEARCH'.split(
    ' ',
  ),
)
/** Their arguments may hold credentials, and so may the words of the answer, which repeat a command here and there. */
const CREDENTIALS = new Set('AUTHENTICATE LOGIN GENURLAUTH RESETKEY URLFETCH GETJMAPACCESS'.split(' '))
const UID_COMMANDS = new Set(['FETCH', 'STORE', 'COPY', 'MOVE', 'EXPUNGE'])

/** Tags of mail clients have four to eight octets. A longer one is no tag of theirs, and may be a token that came at the wrong time. */
const MAX_TAG_LENGTH = 12

/** A command line that the client sends before login, without its end. */
export function showCommand(line: string): string {
  const { tag, name, rest } = parseCommandStart(line)
  if (tag === undefined || tag.length > MAX_TAG_LENGTH) return HIDDEN
  const command = `${tag} ${name}`
  if (BARE.has(name)) return showBare(command, rest)
  if (name === 'LOGIN') return `${command} ${showUser(rest)}${HIDDEN}`
  if (name === 'ID') return `${command} ${showId(rest)}`
  if (name !== 'AUTHENTICATE') return HIDDEN
  const [word = '', ...more] = rest.split(' ').filter(Boolean)
  const mechanism = MECHANISMS.find((known) => known === word.toUpperCase())
  if (mechanism === undefined) return `${command} ${HIDDEN}`
  return showBare(`${command} ${mechanism}`, more.join(' '))
}

/** Where it is certain which argument is the user: with one other behind it, or with a literal. */
function showUser(rest: string): string {
  const marker = /\{\d{1,10}\+?\}$/.exec(rest)
  const values = parseStrings([{ text: marker ? rest.slice(0, marker.index) : rest }])
  const [user] = values ?? []
  return user !== undefined && user !== '' && values?.length === (marker ? 1 : 2) ? `${user} ` : ''
}

function showId(rest: string): string {
  const pairs = parseIdPairs([{ text: rest }])
  if (pairs === undefined) return HIDDEN
  const shown: string[] = []
  for (const [key, value] of pairs) shown.push(ID_KEYS.has(key) ? `${key}=${value}` : HIDDEN)
  return shown.length === 0 ? 'NIL' : shown.join(' ')
}

/** What mailmux sends to a back end. What follows a literal is hidden. */
export function showCommands(octets: string): string {
  const whole = /\{\d+\+?\}\r\n/.exec(octets)
  return showLines(whole ? octets.slice(0, whole.index + whole[0].length) : octets, showCommand)
}

/** Responses before login and to it, each with its end or the only one. A challenge is hidden, as one of SCRAM helps to guess the password. */
export function showAnswers(octets: string): string {
  return showLines(octets, showAnswer)
}

function showAnswer(line: string): string {
  if (line.startsWith('+')) return `+ ${HIDDEN}`
  const status = parseStatus(line)
  if (status && status.tag.length > MAX_TAG_LENGTH) return showUntagged(line)
  if (status || /^\* (?:CAPABILITY|ENABLED)(?: |$)/i.test(line)) return line
  return /^\* ID /i.test(line) ? `* ID ${HIDDEN}` : HIDDEN
}

/** The answer to a line that may be no command: what stands for its tag may be a password that came at the wrong time. */
export function showUntagged(octets: string): string {
  return showLines(octets.replace(/^[^* ]+ /, 'hidden '), showAnswer).replace('hidden', HIDDEN)
}

/** Commands that are shown and have no answer. Clients that pipeline send some hundred at once. */
const MAX_UNANSWERED = 1000
/** Tags of commands that may have held a credential. One that begins anew with its tags cannot be told from one of them any more. */
const MAX_SECRET_TAGS = 1000

/** A session after login. A client may send a login again there, at the wrong time or to a server that it takes for another. */
export function openView(): SessionView {
  /** of the commands without an answer, whether the words of a refusal are shown too */
  const tags = new Map<string, boolean>()
  const secretTags = new Set<string>()
  /** a credential was sent, so that any answer may repeat it */
  let isTainted = false
  /** the line in progress, with its literals, is such a command */
  let isSecret = false
  /** the tag of the SASL exchange in progress: every line of the client belongs to it */
  let exchange: string | undefined

  function noteSecret(tag: string): void {
    isSecret = isTainted = true
    if (secretTags.size < MAX_SECRET_TAGS) secretTags.add(tag)
    tags.delete(tag)
  }

  return {
    fromClient(line, isContinued) {
      if (exchange !== undefined) return { text: HIDDEN, isSecret: true, ...literalOf(line) }
      if (isContinued) return isSecret ? { text: HIDDEN, isSecret, ...literalOf(line) } : literalOf(line)
      isSecret = false
      if (/^DONE$/i.test(line)) return { text: 'DONE' } // RFC 9051 6.3.13
      const { tag, name, rest } = parseCommandStart(line)
      const text = tag === undefined || tag.length > MAX_TAG_LENGTH ? undefined : showSessionCommand(tag, name, rest)
      if (tag === undefined || text === undefined || CREDENTIALS.has(name)) {
        noteSecret(tag ?? '')
        if (name === 'AUTHENTICATE') exchange = tag
        return { text: text ?? HIDDEN, isSecret: true, ...literalOf(line) }
      }
      if (tags.size < MAX_UNANSWERED && secretTags.size < MAX_SECRET_TAGS && !secretTags.has(tag))
        tags.set(tag, !text.includes(HIDDEN))
      return { text, ...literalOf(line) }
    },
    fromBackend(line, isContinued) {
      const status = isContinued ? undefined : parseStatus(line)
      // RFC 9051 7.1: human text ends a status response, and a brace in it announces nothing.
      if (!status) return literalOf(line)
      const { tag, type, code } = status
      if (tag === '*') return { text: isTainted ? `* ${type} ${HIDDEN}` : line }
      if (tag === exchange) exchange = undefined
      const showsRefusal = tags.get(tag)
      tags.delete(tag)
      const isShown = showsRefusal === true || (showsRefusal === false && type === 'OK')
      // A tag that is not known may be a password that came at the wrong time.
      const start = showsRefusal === undefined ? HIDDEN : tag
      const shownCode = showsRefusal === false && code !== undefined && /^[A-Z-]+$/.test(code) ? ` [${code}]` : ''
      const text = isShown ? line : `${start} ${type}${shownCode} ${HIDDEN}`
      return { text, ...(type !== 'OK' && { refusesLiteral: true }) }
    },
  }
}

function showSessionCommand(tag: string, name: string, rest: string): string | undefined {
  const command = `${tag} ${name}`
  if (ALONE.has(name) || NAMES_ONLY.has(name) || CREDENTIALS.has(name)) {
    const [word = ''] = rest.split(' ')
    if (name !== 'UID') return showBare(command, rest)
    if (UID_COMMANDS.has(word.toUpperCase())) return `${command} ${rest}`
    return /^(?:SEARCH|SORT|THREAD|REPLACE)$/i.test(word) ? `${command} ${word} ${HIDDEN}` : undefined
  }
  if (!SESSION_COMMANDS.has(name)) return undefined
  return rest === '' ? command : `${command} ${rest}`
}

function literalOf(line: string): Pick<SeenLine, 'literal' | 'comesUnasked'> {
  const [, digits, plus] = /\{(\d{1,15})(\+?)\}$/.exec(line) ?? []
  return digits === undefined ? {} : { literal: Number(digits), ...(plus === '+' && { comesUnasked: true }) }
}
