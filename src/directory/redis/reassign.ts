/**
 * The new route of a user whose back end is drained with `reassign`, in Redis. The instances may choose different back ends, and an operator
 * may write the route at the same time: only a route that still names the drained back end is changed, and each caller uses what the route
 * is afterwards. A user with any status but `active` keeps the route: on hold the mailbox is being moved, and the hold that a killed move
 * has left says that copies of the mailbox may differ.
 *
 * The script is one step in Redis and uses one key, so that it runs in a Cluster too. It may run late, after the caller has timed out, and
 * running it twice changes nothing more.
 */

/** Returns whether the route was changed, and its fields. KEYS: route. ARGV: the drained back end, the new one. */
export const REASSIGN = `
local route = redis.call('HMGET', KEYS[1], 'backend', 'login', 'status', 'hold')
if route[1] == ARGV[1] and (not route[3] or route[3] == 'active') then
  redis.call('HSET', KEYS[1], 'backend', ARGV[2])
  return {'changed', ARGV[2], route[2], route[3], route[4]}
end
return {'kept', route[1], route[2], route[3], route[4]}
`
