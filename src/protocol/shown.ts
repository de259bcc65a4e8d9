/**
 * What a trace shows of a conversation. The rule is the same for every protocol: a line is shown only if it is recognised as one that holds
 * no credential, and everything else is hidden. Of what is hidden not even the length is told, as it would be that of a password.
 */

export const HIDDEN = '[hidden]'

/** Octets of a line, or of several with their ends, in the form in which a trace shows them. It never throws. */
export type Show = (octets: string) => string

/** What a line of a session after login is: `text` is absent where it is only counted. */
export type SeenLine = {
  text?: string
  /** octets of a literal that follows the line */
  literal?: number
  /** the literal comes whatever the other side answers (RFC 7888 4) */
  comesUnasked?: true
  /** the literal that the client has announced last does not come */
  refusesLiteral?: true
  /** the literal may hold a credential, and is not even counted */
  isSecret?: true
}

/** Reads along with one session after login, line by line. Literals do not reach it. */
export type SessionView = {
  /** @param isContinued the line goes on behind a literal */
  fromClient(line: string, isContinued: boolean): SeenLine
  fromBackend(line: string, isContinued: boolean): SeenLine
}

/** @returns the lines of `octets`, each shown, in one text with ` | ` between them */
export function showLines(octets: string, show: Show): string {
  const lines = octets.split(/\r?\n/)
  if (lines.at(-1) === '') lines.pop()
  // A long list is a list of capabilities. What repeats is said once.
  const shown = lines.slice(0, MOST_LINES).map(show)
  return shown.filter((line, index) => line !== HIDDEN || shown[index - 1] !== HIDDEN).join(' | ')
}

/** A list of capabilities in POP3 has some 20 lines. */
const MOST_LINES = 32

/** The command alone, or with a sign that it has arguments. */
export function showBare(command: string, args: string): string {
  return args === '' ? command : `${command} ${HIDDEN}`
}

/** The names of what proxies tell of a client that are no secret. Values under other names are hidden. */
const TOLD = new Set([
  'ADDR',
  'PORT',
  'DESTADDR',
  'DESTPORT',
  'DESTNAME',
  'SESSION',
  'TTL',
  'CLIENT-TRANSPORT',
  'HELO',
  'PROTO',
])

/** XCLIENT, whose values are in xtext. */
export function showXclient(args: string): string {
  const shown = args.split(' ').map((pair) => {
    const [, name = ''] = /^([A-Z-]+)=/.exec(pair) ?? []
    return TOLD.has(name) ? pair : HIDDEN
  })
  return `XCLIENT ${shown.join(' ')}`
}
