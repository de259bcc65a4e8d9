/** Who is near a limit on clients, asked of all instances. */
import { z } from 'zod'
import { limitsListed, MOST_LIMITS, type LimitsListed } from '../admin/limit-routes.ts'
import type { Told } from '../instances/asking.ts'
import type { Instances } from '../instances/instances.ts'
import { isSharedLimit } from '../limits/site-store.ts'
import type { Usage } from '../limits/usage.ts'

const question = z.strictObject({ kind: z.literal('limits'), most: z.number().int().positive().max(MOST_LIMITS) })

/** @param own of this instance */
export function askForLimits(
  { register }: Pick<Instances, 'register'>,
  own: (most: number) => Usage[],
): (most: number) => Promise<LimitsListed> {
  const ask = register({
    kind: 'limits',
    question,
    answer: limitsListed,
    handle: ({ most }) => Promise.resolve({ limits: own(most) }),
    shorten: (answer, share) => ({ ...answer, limits: answer.limits.slice(0, answer.limits.length * share) }),
  })
  return async (most) => mergeLimits(await ask({ kind: 'limits', most }), most)
}

/** Counts of shared limits are added up; a limit of each instance is a row for each. Exported for its test. */
export function mergeLimits(
  { answers, scope, incomplete: why, silent, lost }: Told<LimitsListed>,
  most: number,
): LimitsListed {
  type Row = LimitsListed['limits'][number] & { instances: { instance: string; count: number }[] }
  const rows = new Map<string, Row>()
  for (const { instance, answer } of answers)
    for (const { limit, of, subject, count, most: max } of answer.limits) {
      const key = [limit, of, subject, ...(isSharedLimit(limit) ? [] : [instance])].join(' ')
      const row = rows.get(key) ?? { limit, of, subject, count: 0, most: max, instances: [] }
      row.count = Math.round(10 * (row.count + count)) / 10
      row.instances.push({ instance, count })
      rows.set(key, row)
    }
  const limits = [...rows.values()].sort((a, b) => b.count / b.most - a.count / a.most).slice(0, most)
  return {
    limits,
    scope,
    ...(why !== undefined && { why }),
    ...(silent.length > 0 && { silent }),
    ...(lost.length > 0 && { lost }),
  }
}
