/** POP3's grammar before login (RFC 1939 3, RFC 2449 4, RFC 3206). Pure: text in, values out. */

/** A command's keyword in upper case and the rest of its line, as it stands: PASS takes its spaces literally (RFC 1939 7). */
export function parseCommand(line: string): { name: string; argument: string } {
  const space = line.indexOf(' ')
  const name = space === -1 ? line : line.slice(0, space)
  return { name: name.toUpperCase(), argument: space === -1 ? '' : line.slice(space + 1) }
}

/** `+OK text` or `-ERR [CODE] text` (RFC 2449 8); undefined where the line is neither. */
export type Response = {
  ok: boolean
  /** in upper case */
  code: string | undefined
  /** what follows the code */
  text: string
  /** the code and the text, as they came */
  words: string
}

export function parseResponse(line: string): Response | undefined {
  const match = /^(\+OK|-ERR)(?: ((?:\[([^\] ]+)\] ?)?(.*)))?$/i.exec(line)
  if (!match) return undefined
  const [, indicator = '', words = '', code, text = ''] = match
  return { ok: indicator.startsWith('+'), code: code?.toUpperCase(), text, words }
}
