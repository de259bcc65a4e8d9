/** `mailmux route export`: prints all routes of Redis in a format that `import` reads. */
import { openBulk } from '../../directory/redis/bulk.ts'
import { createBackendNames } from '../../routes/formats/backend-names.ts'
import type { FormatName } from '../../routes/formats/format.ts'
import { createFileWriter } from '../../routes/formats/write.ts'
import { createSeen } from '../../routes/import/seen.ts'
import { describeLoss, readMarkerSign } from '../../routes/marker.ts'
import { scanRoutes, type RouteFilter } from '../../routes/scan.ts'
import type { Terminal } from '../ask-running.ts'
import { formatCount } from './progress.ts'
import { withRoutes } from './site.ts'

export type ExportOptions = Pick<RouteFilter, 'backend' | 'status'> & { config: string; format: FormatName }

const NAME = 'mailmux route export'

/**
 * @param terminal `write` resolves with false if the reader of the output has gone
 * @returns the exit code: 0 all routes are printed, 1 some cannot be had by the format, or the output was cut, 2 wrong usage or
 * configuration, 75 no answer of Redis
 */
export function exportRoutes(
  pattern: string | undefined,
  { config, format, backend, status }: ExportOptions,
  terminal: Terminal & { write: (text: string) => Promise<boolean> },
): Promise<number> {
  return withRoutes(NAME, config, terminal, async ({ settings, redis, redisSettings }) => {
    const { printError, write } = terminal
    const { prefix } = redisSettings
    const sign = await readMarkerSign(redis, prefix)
    if (sign.kind === 'lost') printError(`${NAME}: ${describeLoss(sign)}`)
    const file = createFileWriter(format, createBackendNames(settings.routing))
    const seen = createSeen()
    const bulk = await openBulk(redisSettings)
    let [count, leftOut] = [0, 0]
    try {
      let isRead = await write(file.head)
      for await (const page of scanRoutes(bulk, prefix, { pattern, backend, status })) {
        const lines = page.flatMap((route) => {
          // Redis may give a key twice while it is walked over.
          if (seen.add(route.user, 1) !== undefined) return []
          const line = file.write(route)
          if (line === undefined) leftOut++
          else count++
          return line ?? []
        })
        isRead = await write(lines.join(''))
        if (!isRead) break
      }
      if (isRead) isRead = await write(file.tail)
      if (!isRead) return 1
    } finally {
      bulk.close()
    }
    printError(count === 1 ? '1 route' : `${formatCount(count)} routes`)
    if (leftOut === 0) return 0
    const what = format === 'nginx' ? 'a login or a status' : 'a status'
    printError(
      `${NAME}: ${formatCount(leftOut)} routes with ${what}, which ${format} cannot have, are left out: csv and jsonl have all`,
    )
    return 1
  })
}
