/** A Redis full of routes, written as fast as Redis itself can. */
import type { Redis } from '../support/redis.ts'

/** What stands before and after a user's number in the key of his route. The number has twelve digits, as `redis-benchmark -r` writes it. */
export const KEY = { before: 'mailmux:user:u', after: '@example.test' }

/** As long as many people's address. */
export function userName(number: number): string {
  return `u${String(number).padStart(12, '0')}@example.test`
}

/** A script holds up everything else in Redis, and redis-cli waits for it: half a second at a time. */
const ROUTES_AT_ONCE = 100_000

const SCRIPT = `for user = tonumber(ARGV[1]), tonumber(ARGV[2]) do
  redis.call('HSET', string.format(ARGV[3], user), unpack(ARGV, 4))
end`

export type Routes = {
  users: number
  backend: string
  /** beside the back end, as `status disabled` */
  fields?: Record<string, string>
  /** of the key, as Lua's string.format takes it; default: that of `userName` */
  keyFormat?: string
}

/** A route for each user from 0 on. */
export async function writeRoutes(
  redis: Redis,
  { users, backend, fields = {}, keyFormat = `${KEY.before}%012d${KEY.after}` }: Routes,
): Promise<void> {
  const values = ['backend', backend, ...Object.entries(fields).flat()]
  for (let first = 0; first < users; first += ROUTES_AT_ONCE) {
    const last = Math.min(users, first + ROUTES_AT_ONCE) - 1
    const answer = await redis.command('EVAL', SCRIPT, '0', String(first), String(last), keyFormat, ...values)
    if (answer !== '') throw new Error(`Redis did not write the routes: ${answer}`)
  }
}
