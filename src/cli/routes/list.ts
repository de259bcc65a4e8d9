/** `mailmux route list`. */
import { openBulk } from '../../directory/redis/bulk.ts'
import { escapeInJson } from '../../printable.ts'
import { scanRoutes, type ListedRoute } from '../../routes/scan.ts'
import type { Terminal } from '../ask-running.ts'
import { formatColumns } from '../table.ts'
import { withRoutes } from './site.ts'

export type ListOptions = { config: string; backend?: string; status?: string; limit?: string; json?: true }

const NAME = 'mailmux route list'

/** @param terminal `write` resolves with false if the reader of the output has gone. @returns the exit code */
export function listRoutes(
  pattern: string | undefined,
  { config, backend, status, limit, json }: ListOptions,
  terminal: Terminal & { write: (text: string) => Promise<boolean> },
): Promise<number> {
  return withRoutes(NAME, config, terminal, async ({ settings, redisSettings }) => {
    const most = limit === undefined ? Infinity : Number(limit)
    if (!/^[1-9]\d{0,8}$/u.test(limit ?? '1')) {
      terminal.printError(`${NAME}: --limit ${limit} is no number from 1`)
      return 2
    }
    if (backend !== undefined && !settings.routing.backends.has(backend))
      terminal.printError(`${NAME}: ${backend} is no back end of the routing file; its routes are listed nevertheless`)
    const bulk = await openBulk(redisSettings)
    const print = createPrinter(json === true)
    let count = 0
    try {
      for await (const page of scanRoutes(bulk, redisSettings.prefix, { pattern, backend, status })) {
        const shown = page.slice(0, most - count)
        count += shown.length
        const isRead = await terminal.write(print(shown))
        if (!isRead || count >= most) break
      }
    } finally {
      bulk.close()
    }
    if (!json) terminal.printError(count === 1 ? '1 route' : `${count} routes`)
    return 0
  })
}

/** Columns of a page are as wide as those before it, so that most lists are in line. */
function createPrinter(isJson: boolean): (routes: readonly ListedRoute[]) => string {
  let isFirst = true
  let widths: number[] = []
  return (routes) => {
    if (isJson) return routes.map((route) => `${escapeInJson(JSON.stringify(route))}\n`).join('')
    const rows = routes.map(({ user, backend = '-', login = '-', status = 'active' }) => [user, backend, status, login])
    if (isFirst) rows.unshift(['USER', 'BACKEND', 'STATUS', 'LOGIN'])
    isFirst = false
    widths = [0, 1, 2].map((column) => Math.max(widths[column] ?? 0, ...rows.map((row) => row[column]?.length ?? 0)))
    const padded = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)))
    return formatColumns(padded)
      .map((line) => `${line}\n`)
      .join('')
  }
}
