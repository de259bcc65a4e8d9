/** The level of the log in the API: what counts now, and another one for a time. */
import { z } from 'zod'
import { auditOf } from './access.ts'
import type { AuditLog } from './audit.ts'
import { declare, type Routes } from './declared.ts'

/** The least that is logged, from the most lines to the fewest. */
export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const

const level = z.enum(LOG_LEVELS)
type Level = z.infer<typeof level>

/** A week: a level for longer belongs into the configuration. */
export const MAX_LEVEL_MS = 7 * 24 * 3_600_000

const levelBody = z.strictObject({
  level,
  forMs: z.number().int().min(1).max(MAX_LEVEL_MS).optional().describe('then that of the configuration counts again'),
})

export type LevelBody = z.infer<typeof levelBody>

export const levelAnswer = z.object({
  level,
  /** that of the configuration */
  configured: level,
  /** after this time that of the configuration counts again */
  leftMs: z.number().optional(),
})

export type LevelAnswer = z.infer<typeof levelAnswer>

export type LogLevelOrders = {
  status: () => LevelAnswer
  /** In all processes of this instance, until the time is over, it is reset, or mailmux starts again. */
  set: (order: LevelBody) => Promise<LevelAnswer>
  /** The level of the configuration counts again. */
  reset: () => Promise<LevelAnswer>
}

export type LogParts = { logLevel: LogLevelOrders }

const EXAMPLE = { level: 'debug', configured: 'info', leftMs: 300_000 } as const

const readLevel = declare({
  method: 'get',
  path: '/log-level',
  right: 'read',
  summary: 'The level of the log of this instance',
  answer: levelAnswer,
  example: { answer: EXAMPLE },
})

const setLevel = declare({
  method: 'put',
  path: '/log-level',
  right: 'operate',
  summary: 'Logs with another level, for a time or until the next start',
  body: levelBody,
  answer: levelAnswer,
  example: { body: { level: 'debug', forMs: 300_000 }, answer: EXAMPLE },
})

const resetLevel = declare({
  method: 'delete',
  path: '/log-level',
  right: 'operate',
  summary: 'Logs with the level of the configuration again',
  answer: levelAnswer,
  example: { answer: { level: 'info', configured: 'info' } },
})

export function addLogRoutes(routes: Routes, { logLevel }: LogParts, log: AuditLog): void {
  routes.add(readLevel, () => Promise.resolve(logLevel.status()))
  /** The line is written with the level that hides less of the two. */
  async function change(next: Level, make: () => Promise<LevelAnswer>, note: () => void): Promise<LevelAnswer> {
    const hidesMore = LOG_LEVELS.indexOf(next) > LOG_LEVELS.indexOf(logLevel.status().level)
    if (hidesMore) note()
    const answer = await make()
    if (!hidesMore) note()
    return answer
  }

  routes.add(setLevel, ({ body, caller }) => {
    const fields = { ...auditOf(caller), before: logLevel.status().level, ...body }
    return change(
      body.level,
      () => logLevel.set(body),
      () => log.info(fields, 'log level set by operator'),
    )
  })
  routes.add(resetLevel, ({ caller }) => {
    const { level: before, configured } = logLevel.status()
    return change(configured, logLevel.reset, () =>
      log.info({ ...auditOf(caller), before }, 'log level reset by operator'),
    )
  })
}
