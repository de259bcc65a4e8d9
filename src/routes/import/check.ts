/** Checks every line of a file of routes against the routing file, block after block. */
import type { RoutingSettings } from '../../config/settings.ts'
import type { RouteChange } from '../../directory/redis/route-writer.ts'
import { canBeLogin } from '../../user-name.ts'
import { createBackendNames } from '../formats/backend-names.ts'
import { isWrong, show, showUser, type FileRoute, type FormatName, type WrongLine } from '../formats/format.ts'
import { createReader } from '../formats/guess.ts'
import { readBlocks } from '../formats/lines.ts'
import { nameRules, readRouteName } from '../names.ts'
import { createSeen } from './seen.ts'

export type GoodRoute = { line: number; user: string; change: RouteChange & { backend: string } }

export type Checked = { good: GoodRoute[]; wrong: WrongLine[] }

export type CheckParts = {
  file: string
  format: FormatName
  routing: RoutingSettings
  /** gets the number of octets that were read so far */
  onRead?: (octets: number) => void
}

/** Two calls for the same file give the same. @throws Error of the system, if the file cannot be read */
export async function* checkFile({ file, format, routing, onRead }: CheckParts): AsyncGenerator<Checked> {
  const read = createReader(format)
  const backends = createBackendNames(routing)
  const rules = nameRules(routing)
  const seen = createSeen()

  function check({ line, user: typed, target, login, status, isUnnamed }: FileRoute): GoodRoute | WrongLine {
    const named = readRouteName(typed, rules)
    if ('wrong' in named) return { line, why: `${showUser(typed)} is ${named.wrong}` }
    const { user } = named
    const shown = (field: string, value: string): string => (isUnnamed ? unnamed(field) : `the ${field} ${show(value)}`)
    const found = backends.find(target)
    if ('wrong' in found) {
      const why = isUnnamed && found.isUnknown ? `${unnamed('back end')} is none of the routing file` : found.wrong
      return { line, why: `${showUser(user)}: ${why}` }
    }
    if (typeof login === 'string' && !canBeLogin(login))
      return { line, why: `${showUser(user)}: ${shown('login', login)} has a character that no name may have` }
    if (status !== undefined && status !== 'active' && status !== 'hold' && status !== 'disabled')
      return { line, why: `${showUser(user)}: ${shown('status', status)} is none of active, hold and disabled` }
    const before = seen.add(user, line)
    if (before !== undefined) return { line, why: `${showUser(user)} is in line ${before} already` }
    return { line, user, change: { backend: found.backend, login, status } }
  }

  for await (const block of readBlocks(file, onRead)) {
    const tooLong = block.tooLong?.map((line) => ({ line, why: 'longer than 64 KiB, and not read' }))
    const checked: Checked = { good: [], wrong: tooLong ?? [] }
    for (const entry of read(block)) {
      const one = isWrong(entry) ? entry : check(entry)
      if (isWrong(one)) checked.wrong.push(one)
      else checked.good.push(one)
    }
    if (tooLong) checked.wrong.sort((one, other) => one.line - other.line)
    yield checked
  }
}

const unnamed = (field: string): string =>
  `the ${field} (not shown, as the file has no header and it may be a password)`
