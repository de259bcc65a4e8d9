/** What a trace shows of ManageSieve: commands, capabilities, and the responses OK, NO and BYE. */
import { MECHANISMS } from '../../config/settings.ts'
import { HIDDEN, showBare, showLines, showXclient, type SeenLine, type SessionView } from '../shown.ts'
import { parseResponse, tokenize, type Token } from './parse.ts'

const BARE = new Set(['CAPABILITY', 'NOOP', 'LOGOUT', 'STARTTLS', 'UNAUTHENTICATE', 'LISTSCRIPTS'])
/** After login. Their arguments are names of scripts and numbers; the script itself is a literal, or hidden. */
const SCRIPTS = new Set(['HAVESPACE', 'SETACTIVE', 'GETSCRIPT', 'DELETESCRIPT', 'RENAMESCRIPT'])

/** RFC 5804 1.7, and those of proxies. */
const CAPABILITY =
  /^"(?:IMPLEMENTATION|SIEVE|NOTIFY|MAXREDIRECTS|EXTLISTS|SASL|STARTTLS|VERSION|LANGUAGE|OWNER|RENAME|XCLIENT|X-PROXY-TTL|UNAUTHENTICATE)"(?: "[^"]*")?$/i

/** A command before login, from the client or to the back end. What follows a literal is hidden. */
export function showCommand(octets: string): string {
  const literal = /\{\d+\+?\}(?:\r?\n|$)/.exec(octets)
  if (!literal) return showLines(octets, (line) => showOne(line, ''))
  return showLines(octets.slice(0, literal.index), (line) => showOne(line, HIDDEN))
}

/** @param behind what stands for a literal behind the line */
function showOne(line: string, behind: string): string {
  if (/^XCLIENT /i.test(line)) return showXclient(line.slice('XCLIENT '.length))
  const [first, ...args] = tokenize(line) ?? []
  if (first?.kind !== 'word') return HIDDEN
  const name = first.text.toUpperCase()
  const more = `${args.length > 0 ? HIDDEN : ''}${behind}`
  if (BARE.has(name)) return showBare(name, more)
  if (name === 'X-PROXY-TTL') return /^\d{1,3}$/.test(args[0]?.text ?? '') ? `${name} ${args[0]?.text}` : name
  if (name !== 'AUTHENTICATE') return HIDDEN
  const [word, ...rest] = args
  const mechanism = MECHANISMS.find((known) => known === word?.text.toUpperCase())
  if (mechanism === undefined) return `${name} ${HIDDEN}`
  return showBare(`${name} "${mechanism}"`, `${rest.length > 0 ? HIDDEN : ''}${behind}`)
}

/** Responses before login and to it. A challenge is a string (RFC 5804 2.1), and is hidden. */
export function showAnswers(octets: string): string {
  return showLines(octets, showAnswer)
}

function showAnswer(line: string): string {
  return CAPABILITY.test(line) ? line : (showStatus(line) ?? HIDDEN)
}

/** `OK (SASL "...")` has the last message of a mechanism: arguments of a code are hidden. */
function showStatus(line: string): string | undefined {
  const [, word] = /^(OK|NO|BYE)(?: |$)/i.exec(line) ?? []
  if (word === undefined) return undefined
  const tokens: Token[] | undefined = tokenize(line)
  const response = tokens && parseResponse(tokens)
  if (!response || response.type === 'data') return `${word} ${HIDDEN}` // its text is a literal
  const args = response.codeArguments.length > 0 ? ` ${HIDDEN}` : ''
  const code = response.code === undefined ? '' : ` (${response.code}${args})`
  return `${response.type}${code}${response.text === '' ? '' : ` "${response.text}"`}`
}

/** Clients that pipeline send a few commands at once. */
const MAX_UNANSWERED = 1000

/** What is shown of the answer to a command: its words, those of an OK, or none, as servers repeat a command that they do not know. */
type Words = 'all' | 'of-ok' | 'none'

/** A session after login. A client may send a login again there, at the wrong time. */
export function openView(): SessionView {
  const unanswered: { words: Words; isExchange: boolean }[] = []
  /** a credential was sent, so that any answer may repeat it */
  let isTainted = false
  /** answers cannot be told apart any more */
  let isLost = false
  /** the line in progress, with its literals, may hold a credential */
  let isSecret = false

  return {
    fromClient(line, isContinued) {
      const literal = literalOf(line)
      if (isContinued) return isSecret ? { text: HIDDEN, isSecret, ...literal } : literal
      const text = showSessionCommand(line)
      const isExchange = /^AUTHENTICATE(?: |$)/i.test(line)
      isSecret = isExchange || text === undefined
      isTainted ||= isSecret
      // RFC 5804 2.1: a string is a message of the exchange in progress, and has no answer of its own.
      const isMessage = /^["{]/.test(line) && unanswered.some((command) => command.isExchange)
      const words = isSecret ? 'none' : text?.includes(HIDDEN) ? 'of-ok' : 'all'
      if (!isMessage && unanswered.length < MAX_UNANSWERED) unanswered.push({ words, isExchange })
      else if (!isMessage) isLost = true
      return { text: text ?? HIDDEN, ...(isSecret && { isSecret }), ...literal }
    },
    fromBackend(line, isContinued) {
      const text = isContinued ? undefined : showStatus(line)
      if (text === undefined) return literalOf(line)
      const [type = ''] = text.split(' ')
      const words = type === 'BYE' ? (isTainted ? 'none' : 'all') : (unanswered.shift()?.words ?? 'none')
      const isShown = !isLost && (words === 'all' || (words === 'of-ok' && type === 'OK'))
      return { text: isShown || text === type ? text : `${type} ${HIDDEN}`, ...literalOf(line) }
    },
  }
}

function showSessionCommand(line: string): string | undefined {
  const [first, ...args] = tokenize(line.replace(/ *\{\d+\+?\}$/, '')) ?? []
  if (first?.kind !== 'word') return undefined
  const name = first.text.toUpperCase()
  if (BARE.has(name)) return showBare(name, args.length > 0 ? HIDDEN : '')
  if (SCRIPTS.has(name)) return [name, ...args.map(({ text }) => JSON.stringify(text))].join(' ')
  // The second argument is the script.
  if (name === 'PUTSCRIPT') return `${name} ${args[0] ? JSON.stringify(args[0].text) : HIDDEN} ${HIDDEN}`
  return name === 'CHECKSCRIPT' || name === 'AUTHENTICATE' ? `${name} ${HIDDEN}` : undefined
}

function literalOf(line: string): Pick<SeenLine, 'literal'> {
  const [, digits] = /\{(\d{1,15})\+?\}$/.exec(line) ?? []
  return digits === undefined ? {} : { literal: Number(digits) }
}
