/**
 * How a new user's back end is agreed on in Redis, so that no user is ever connected to two at once. Placement happens before the
 * password is known to be right. So the choice is first only claimed, in a key of its own that is gone by itself once every login
 * that may use it is over: a guesser's many names fill nothing, and leave nothing. A back end that has let the user in makes it the
 * route, before a byte of the session is carried.
 *
 * A login goes to a back end only while the user's claim is for that one: whoever uses a claim renews it in the same step, for longer
 * than the login may take, and nobody changes it before it is gone. So while one login is under way, all others go to the same back
 * end, and the route that follows can be no other; what comes after follows the route. Each script is one step in Redis, may be applied
 * late (after the answer was given up), and changes nothing when it is applied twice.
 *
 * The claim stands beside the route, not in it: an operator's HSET of a route must not inherit a claim's end, nor instances be told
 * (by the push of changed routes) of each guess.
 */

/** Returns the route's fields, or what is kept. KEYS: route, claim. ARGV: back end, milliseconds. */
export const RESERVE = `
local route = redis.call('HMGET', KEYS[1], 'backend', 'login', 'status')
if redis.call('EXISTS', KEYS[1]) == 1 then return {'route', route[1], route[2], route[3]} end
local kept = redis.call('GET', KEYS[2])
if kept and kept ~= ARGV[1] then return {'kept', kept} end
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[2])
return {'kept', ARGV[1]}
`

/** Returns 1 where the back end is the user's route now. The claim stays for its time: other logins may be under way by it. KEYS and ARGV as above. */
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
 * The key of a claim, which a Redis Cluster keeps where the route is: it looks at what stands in the first pair of braces alone, if
 * there is one. No user's name has a brace, but a prefix may have the pair that puts all keys into one place.
 */
export function claimKey(prefix: string, user: string, routeKey: string): string {
  return /^[^{]*\{[^}]+\}/u.test(prefix) ? `${prefix}claim:${user}` : `${prefix}claim:{${routeKey}}`
}
