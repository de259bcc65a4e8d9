/**
 * Hides values that the names of their keys call secret. No key takes a secret itself, so each of them is a mistake, whose line is reported
 * to the log and over the API. Pure.
 */

/**
 * A key such as `password` or `admin-token`, with up to 40 characters before the word, so that the time is linear; also `send_password`, which
 * is no secret. The name of a variable is none either, and a message may be about it.
 */
const KEY = String.raw`(?<![\w-])(?<name>[\w-]{0,40}?(?:password|passwd|passphrase|secret|token))["']?\s{0,40}:\s{1,40}(?!\$\{)`
const QUOTED = String.raw`"(?:[^"\\]|\\.)*"?|'(?:[^']|'')*'?`
/** YAML 1.2 7.3.3: a plain value ends before a comment, and within braces before one of these characters too. */
const IN_FLOW = new RegExp(`${KEY}(?<value>${QUOTED}|[^\\s,{}[\\]](?:[^,{}[\\]# ]| +(?!#)|#)*)`, 'giu')
const IN_BLOCK = new RegExp(`${KEY}(?<value>${QUOTED}|\\S(?:[^# ]| +(?!#)|#)*)`, 'giu')

/** @param line of a YAML file, or a part of it. @returns it with such values hidden, character for character, so that columns stay true */
export function hideSecretValues(line: string): string {
  // With a JSON file, or a map on one line, the next key must stay.
  const pattern = line.includes('{') ? IN_FLOW : IN_BLOCK
  return line.replace(pattern, (found, name: string, value: string) =>
    name.toLowerCase() === 'send_password'
      ? found
      : found.slice(0, found.length - value.length) + '*'.repeat(value.length),
  )
}
