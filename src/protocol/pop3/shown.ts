/** What a trace shows of POP3: commands, and the first line of each answer. */
import { MECHANISMS } from '../../config/settings.ts'
import { HIDDEN, showBare, showLines, showXclient, type SessionView } from '../shown.ts'
import { parseCommand, parseResponse } from './parse.ts'

const BARE = new Set(['CAPA', 'NOOP', 'QUIT', 'UTF8', 'STLS', 'STAT', 'RSET'])
/** After login. Their arguments are numbers. */
const NUMBERS = new Set(['LIST', 'RETR', 'DELE', 'TOP', 'UIDL'])
/** The answers to these have several lines after an OK: always, or where the command has no argument. */
const MULTI = new Set(['RETR', 'TOP', 'CAPA'])
const MULTI_ALONE = new Set(['LIST', 'UIDL'])
/** Clients that pipeline (RFC 2449 6.6) send some hundred commands at once. */
const MAX_UNANSWERED = 1000

/** A command line before login, from the client or to the back end. */
export function showCommand(octets: string): string {
  return showLines(octets, showOne)
}

function showOne(line: string): string {
  const { name, argument } = parseCommand(line)
  if (BARE.has(name)) return showBare(name, argument)
  if (name === 'PASS' || name === 'APOP') return `${name} ${HIDDEN}`
  // A client that sends more than a name may send its password with it.
  if (name === 'USER') return /^[^ ]+$/.test(argument) ? `${name} ${argument}` : `${name} ${HIDDEN}`
  if (name === 'X-PROXY-TTL') return /^\d{1,3}$/.test(argument) ? `${name} ${argument}` : `${name} ${HIDDEN}`
  if (name === 'XCLIENT') return showXclient(argument)
  if (name !== 'AUTH') return HIDDEN
  const [word = '', ...more] = argument.split(' ').filter(Boolean)
  if (word === '') return name
  const mechanism = MECHANISMS.find((known) => known === word.toUpperCase())
  return mechanism === undefined ? `${name} ${HIDDEN}` : showBare(`${name} ${mechanism}`, more.join(' '))
}

/** Answers before login and to it. A challenge (RFC 5034 4) is hidden. */
export function showAnswers(octets: string): string {
  return showLines(octets, showAnswer)
}

function showAnswer(line: string): string {
  if (/^\+(?: |$)/.test(line)) return `+ ${HIDDEN}`
  // RFC 2449 5: the lines of a capability list, and the end of it.
  return parseResponse(line) || /^(?:\.|[A-Z][A-Z\d_-]*(?: [\w=.+/-]+)*)$/.test(line) ? line : HIDDEN
}

/** Commands of a login, which a client may send again at the wrong time. */
const CREDENTIALS = new Set(['USER', 'PASS', 'APOP', 'AUTH'])

/** A session after login. */
export function openView(): SessionView {
  /** for each command without an answer, whether that may have several lines, and whether its words are shown */
  const unanswered: { isMulti: boolean; isShown: boolean }[] = []
  let inBody = false
  /** answers cannot be told apart any more */
  let isLost = false

  function show(name: string, argument: string): string {
    if (BARE.has(name)) return showBare(name, argument)
    if (NUMBERS.has(name))
      return /^[\d ]*$/.test(argument) ? `${name}${argument && ' '}${argument}` : `${name} ${HIDDEN}`
    return CREDENTIALS.has(name) ? `${name} ${HIDDEN}` : HIDDEN
  }

  return {
    fromClient(line) {
      const { name, argument } = parseCommand(line)
      const text = show(name, argument)
      const isMulti = MULTI.has(name) || (MULTI_ALONE.has(name) && !argument)
      // Servers repeat a command that they do not know.
      if (unanswered.length < MAX_UNANSWERED) unanswered.push({ isMulti, isShown: !text.includes(HIDDEN) })
      else isLost = true
      return { text }
    },
    fromBackend(line) {
      if (inBody) {
        inBody = line !== '.'
        return {}
      }
      const command = unanswered.shift()
      const response = parseResponse(line)
      if (command === undefined || !response) return {}
      inBody = command.isMulti && response.ok
      return { text: command.isShown && !isLost ? line : `${response.ok ? '+OK' : '-ERR'} ${HIDDEN}` }
    },
  }
}
