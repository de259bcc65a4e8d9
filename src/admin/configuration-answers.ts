/** What the API answers about the configuration and its reloads, as schemas; see `answers.ts`. */
import { z } from 'zod'

export const heldBack = z.object({ file: z.string(), why: z.string() })

/** The last reload that changed nothing; in milliseconds of the epoch. `excerpts`: the first errors with their lines and carets */
export const failure = z.object({
  atMs: z.number(),
  errors: z.array(z.string()),
  excerpts: z.array(z.string()).optional(),
})

/** `loadedMs`: when the configuration in force was read; `failure`: of a reload since then. */
export const configAnswer = z.object({
  file: z.string(),
  loadedMs: z.number(),
  failure: failure.optional(),
  heldBack: heldBack.optional(),
})

/** One difference; `keys` are the settings of it that differ, `text` says it in a sentence. */
const change = z.object({
  what: z.string(),
  name: z.string().optional(),
  change: z.enum(['added', 'removed', 'changed']),
  keys: z.array(z.string()).optional(),
  text: z.string(),
})

/** The files are in force; `late` are the workers that have not confirmed it in time. */
export const reloadAnswer = z.object({
  changes: z.array(change),
  warnings: z.array(z.string()),
  late: z.array(z.number()),
})

/** What a reload would change. `affected`: running sessions, which go on, and users whose back end leaves. `errors`: it would be refused. */
export const comparisonAnswer = z.object({
  file: z.string(),
  changes: z.array(
    change.extend({ affected: z.object({ sessions: z.number().optional(), users: z.number().optional() }).optional() }),
  ),
  /** the parts that only a restart would change */
  restart: z.array(z.string()),
  errors: z.array(z.string()).optional(),
})

export type ComparisonAnswer = z.infer<typeof comparisonAnswer>
export type ConfigAnswer = z.infer<typeof configAnswer>
export type ReloadAnswer = z.infer<typeof reloadAnswer>
