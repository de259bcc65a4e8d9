/**
 * Literals in pieces of every size. The watch counts all octets of an open literal but the last, and its readers the rest
 * (RFC 9051 4.3): no cut may move the end of a literal.
 */
import { test } from 'node:test'
import { ImapWatch } from '../../../../src/protocol/imap/watch.ts'
import type { Cut } from '../../../support/splits.ts'
import { backend, checkIdle, client, type Step } from '../../../support/watched.ts'

/** Cuts each step at two places, which may be one or behind its end. */
function cutAt(first: number, second: number): Cut {
  const split = (octets: string): string[] =>
    [octets.slice(0, first), octets.slice(first, second), octets.slice(second)].filter((piece) => piece !== '')
  return { name: `at ${first} and ${second}`, split }
}

/** Each pair of places in the longest step. */
function everyCut(steps: readonly Step[]): Cut[] {
  const length = Math.max(...steps.map(({ octets }) => octets.length))
  return Array.from({ length }, (_, first) =>
    Array.from({ length: length - first }, (_, more) => cutAt(first, first + more)),
  ).flat()
}

/** Octets that would end the command or the session elsewhere: an octet too many or too few becomes visible. */
const OCTETS = '\na OK x\r\n+ \r\n'

function buildSessions(bytes: number): Record<string, readonly Step[]> {
  const octets = OCTETS.slice(0, bytes)
  return {
    'non-synchronising literals of the client': [
      client(`a APPEND x {${bytes}+}\r\n${octets} {${bytes}+}\r\n${octets}\r\n`),
      backend('a OK\r\n', true),
      client('b NOOP\r\n'),
      backend('b OK\r\n', true),
    ],
    'synchronising literals of the client': [
      client(`a APPEND x {${bytes}}\r\n`),
      backend('+ go\r\n'),
      client(`${octets} ~{${bytes}}\r\n`),
      backend('+ go\r\n'),
      client(`${octets}\r\n`),
      backend('a OK\r\n', true),
    ],
    'literals of the back end': [
      client('a FETCH 1 X\r\n'),
      backend(`* 1 FETCH (X {${bytes}}\r\n${octets} Y {${bytes}}\r\n${octets})\r\na OK\r\n`, true),
      client('b NOOP\r\n'),
      backend('b OK\r\n', true),
    ],
    'literals of both sides at once': [
      client(`a FETCH 1 X\r\nb APPEND x {${bytes + 1}+}\r\n\n`),
      backend(`* 1 FETCH (X {${bytes + 1}}\r\n\n`),
      client(`${octets}\r\n`),
      backend(`${octets})\r\nb OK\r\na OK\r\n`, true),
    ],
    'a literal that is refused before its end': [
      client(`a APPEND x {${bytes + 1}+}\r\n\n`),
      backend('a NO\r\n'),
      client(octets),
      client('\r\n', true),
      client('b NOOP\r\n'),
      backend('b OK\r\n', true),
    ],
    'a command that comes inside a literal of the back end': [
      backend(`* 1 FETCH (X {${bytes + 1}}\r\n\n`),
      client('a NOOP\r\n'),
      backend(`${octets})\r\n`),
      backend('a OK\r\n', true),
    ],
  }
}

for (const bytes of [1, 2, 3, OCTETS.length])
  for (const [what, steps] of Object.entries(buildSessions(bytes)))
    test(`follows ${what}, ${bytes} octets long, cut at every two places`, () =>
      checkIdle(() => new ImapWatch(), steps, what, everyCut(steps)))
