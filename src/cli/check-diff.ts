/** `mailmux check --diff`: what a reload of the running mailmux would change, and who would notice it. */
import path from 'node:path'
import type { AdminClient } from '../admin/client.ts'
import type { ComparisonAnswer } from '../admin/configuration-answers.ts'
import { printable } from '../printable.ts'
import { askRunning, type RunningPlace, type Terminal } from './ask-running.ts'

const NAME = 'mailmux check --diff'
/** Nothing is wrong, and a reload would change something: neither 0, nor 1 for errors, nor 2 for no answer. */
export const DIFFERS = 3

/**
 * @param take gets the answer in place of the terminal
 * @returns the exit code: 0 if a reload would change nothing, 1 if it would be refused, 2 if there is no answer, 3 if it would change
 * something
 */
export async function diff(
  configFile: string,
  terminal: Terminal,
  running: RunningPlace = {},
  take?: (answer: ComparisonAnswer) => void,
): Promise<number> {
  const told = { hasAnswered: false }
  const ask = async (client: AdminClient): Promise<number> => {
    const answer = await client.compare()
    told.hasAnswered = true
    if (answer.file !== path.resolve(configFile)) {
      terminal.printError(printable(`${NAME}: the running mailmux has another configuration file: ${answer.file}`))
      return 2
    }
    take?.(answer)
    if (!take) for (const error of answer.errors ?? []) terminal.printError(printable(`${NAME}: ${error}`))
    if (answer.errors) return 1
    if (!take) for (const line of formatComparison(answer)) terminal.out(line)
    return answer.changes.length + answer.restart.length === 0 ? 0 : DIFFERS
  }
  const code = await askRunning(NAME, configFile, terminal, ask, running)
  if (!told.hasAnswered && running.admin === undefined)
    terminal.printError(
      `${NAME}: if the files change \`admin\`, --admin HOST:PORT names the address of the running mailmux, and --token-file its token`,
    )
  return code
}

/** Exported for its test. */
export function formatComparison({ changes, restart }: ComparisonAnswer): string[] {
  if (changes.length + restart.length === 0) return ['a reload would change nothing']
  const lines = changes.map(({ text, affected, change, what }) => {
    const { sessions, users } = affected ?? {}
    const told = [
      ...(sessions ? [`${count(sessions, 'session')} there ${sessions === 1 ? 'goes' : 'go'} on`] : []),
      ...(users
        ? [`${count(users, 'user')} of the routing file in force ${users === 1 ? 'has a route' : 'have routes'} there`]
        : []),
      ...(what === 'back end' && change === 'removed' ? ['routes in a directory are not counted'] : []),
    ]
    return `  ${text}${told.length === 0 ? '' : ` (${told.join('; ')})`}`
  })
  const later = restart.map((part) => `  ${part}: changes at a restart only`)
  return ['a reload would change:', ...lines, ...later].map((line) => printable(line))
}

function count(number: number, what: string): string {
  return `${number.toLocaleString('en')} ${what}${number === 1 ? '' : 's'}`
}
