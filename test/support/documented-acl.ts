/** The rules for mailmux's users in Redis and in the Sentinels, word for word as docs/operations.md tells operators to type them. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const PAGE = join(import.meta.dirname, '../../docs/operations.md')

/** What a line of the documentation is for; a word of its comment. */
export type AclUse = 'database' | 'placement' | 'states' | 'Cluster' | 'instances' | 'limits' | 'move' | 'mailmux route'

/**
 * @param uses which of the lines with a comment to take besides the first
 * @returns the words behind `ACL SETUSER mailmux`, with this password
 */
export function documentedAcl(password: string, ...uses: readonly AclUse[]): string[] {
  const [first, ...lines] = aclLines().filter((line) => !line.includes('+sentinel|'))
  assert.ok(first)
  const more = uses.map((use) => {
    const line = lines.find((one) => one.split('#')[1]?.includes(use))
    assert.ok(line, `docs/operations.md has no line for ${use}`)
    return line
  })
  return [first, ...more].flatMap((line) => wordsOf(line, password))
}

/** The same for the user of the Sentinels. */
export function documentedSentinelAcl(password: string): string[] {
  return aclLines()
    .filter((line) => line.includes('+sentinel|'))
    .flatMap((line) => wordsOf(line, password))
}

function aclLines(): string[] {
  return readFileSync(PAGE, 'utf8')
    .split('\n')
    .filter((line) => line.startsWith('ACL SETUSER mailmux '))
}

function wordsOf(line: string, password: string): string[] {
  const [rules = ''] = line.split('#')
  return rules
    .trim()
    .split(/\s+/u)
    .slice(3)
    .map((word) => (word === '>PASSWORD' ? `>${password}` : word))
}
