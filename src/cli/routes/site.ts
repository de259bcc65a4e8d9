/** Opens Redis for a command of routes, and turns each failure into a line and an exit code. */
import { MuxError } from '../../errors.ts'
import { mayPass, RedisFailure } from '../../directory/redis/errors.ts'
import { printable } from '../../printable.ts'
import type { Terminal } from '../ask-running.ts'
import { NotOpened, openRedisSite, type RedisSite } from '../redis-site.ts'

/** sysexits(3) EX_TEMPFAIL: the same command may succeed later. */
export const TEMPORARY = 75

const NO_REDIS =
  'the routes are not in Redis: with `static` they are `users` in the routing file, and with `auth_http` the auth server has them'

/** @param name of the command, for its messages. @returns the exit code */
export async function withRoutes(
  name: string,
  config: string,
  { env, printError }: Terminal,
  use: (site: RedisSite) => Promise<number>,
): Promise<number> {
  let site: RedisSite | undefined
  try {
    site = await openRedisSite(config, env, `${name}: ${NO_REDIS}`)
    return await use(site)
  } catch (error) {
    if (error instanceof NotOpened) {
      for (const line of error.message.split('\n')) printError(printable(line))
      return error.isTemporary ? TEMPORARY : 2
    }
    if (!(error instanceof MuxError || error instanceof RedisFailure)) throw error
    const rights = error.message.includes('NOPERM') ? ' (docs/operations.md#rights-of-mailmux-in-redis)' : ''
    printError(printable(`${name}: ${error.message}${rights}`))
    return mayPass(error.message) ? TEMPORARY : 1
  } finally {
    site?.close()
  }
}
