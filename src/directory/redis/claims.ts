/**
 * The agreement of all instances on a new user's back end, in Redis: no user is ever connected to two back ends at once. Placement
 * happens before the password is checked. The choice is therefore first a claim, in a key of its own that expires once every login
 * that may use it is over, so that guessed names leave no data. When the back end has accepted the user, the claim becomes the
 * route, before a byte of the session is relayed.
 *
 * A login uses a back end only while the user's claim names it. Each use renews the claim in the same step, for longer than the
 * login may take, and no instance changes a claim before it expires. While one login is in progress, all others therefore use the
 * same back end, and only that one can become the route. Each script is one step in Redis. It may run late, after the caller has
 * timed out, and running it twice changes nothing.
 *
 * The claim is not stored in the route's hash: an operator's HSET of a route must not inherit the expiry of a claim, and instances
 * must not get a message about each guessed name.
 */

/** Returns the fields of the route, or the claimed back end. KEYS: route, claim. ARGV: back end, milliseconds. */
export const RESERVE = `
local route = redis.call('HMGET', KEYS[1], 'backend', 'login', 'status', 'hold')
if redis.call('EXISTS', KEYS[1]) == 1 then return {'route', route[1], route[2], route[3], route[4]} end
local kept = redis.call('GET', KEYS[2])
if kept and kept ~= ARGV[1] then return {'kept', kept} end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return {'kept', ARGV[1]}
`

/** Returns 1 if the back end is the user's route now. The claim stays until it expires, because other logins may use it. KEYS and ARGV as above. */
export const COMMIT = `
if redis.call('EXISTS', KEYS[1]) == 0 then
  if redis.call('GET', KEYS[2]) ~= ARGV[1] then return 0 end
  redis.call('HSET', KEYS[1], 'backend', ARGV[1])
end
local route = redis.call('HMGET', KEYS[1], 'backend', 'status')
if route[1] == ARGV[1] and (not route[2] or route[2] == 'active') then return 1 end
return 0
`

/**
 * The key of a claim, in the slot of the route: a Redis Cluster hashes only the text in the first pair of braces. A user name has no
 * brace, but a prefix may have a pair that puts all keys into one slot.
 */
export function claimKey(prefix: string, user: string, routeKey: string): string {
  return /^[^{]*\{[^}]+\}/u.test(prefix) ? `${prefix}claim:${user}` : `${prefix}claim:{${routeKey}}`
}
