/** The settings of `limits`, and of `limits` of a listener. A part of `settings.ts`. */
import type { ProtocolName } from '../protocol/registry.ts'

export type LimitSettings = {
  /** of clients at a time, by all workers together or, in the settings of one, by that one; undefined: as many as there are descriptors for */
  maxConnections: number | undefined
  /** a command line before login, without literals */
  maxLineBytes: number
  /** from the greeting, or from the last refused attempt, to the next login */
  loginTimeoutMs: number
  maxBadCommands: number
  maxWrongPasswords: number
  /** a refused password, right user or not, is answered no sooner than this */
  failureDelayMs: number
  /** from the login command to the back end's answer: dial, TLS, greeting and replay together */
  backendTimeoutMs: number
  /** without a byte either way once relaying */
  idleMs: Record<ProtocolName, number>
  /** from the order to end a session to its cut, if it comes to no safe point */
  endTimeoutMs: number
  /** the time over which sessions end that end for one event */
  spreadDisconnectsMs: number
  /** how long SIGTERM waits for sessions that are busy */
  shutdownGraceMs: number
}

/** Networks as CIDRs. `allow`: undefined where every address may connect that `deny` does not have. */
export type AccessSettings = { allow: readonly string[] | undefined; deny: readonly string[] }

/** As many as `count` at once, and then one each `perMs / count`. */
export type Rate = { count: number; perMs: number }

/** The delay of logins after failed ones. */
export type PenaltySettings = {
  /** failures without a delay */
  after: number
  /** how much longer each further one makes it */
  stepMs: number
  mostMs: number
  /** the time in which half of the failures are forgotten */
  halfLifeMs: number
}

/** The limits of one listener on its clients, with the defaults of `limits` filled in. undefined: no limit. */
export type ClientLimitSettings = {
  access: AccessSettings
  /** CIDRs to which no limit by address applies, and no penalty */
  exempt: readonly string[]
  /** of the listener */
  maxConnections: number | undefined
  /** of an IPv4 address or an IPv6 /64 */
  connectionsPerAddress: number | undefined
  /** of an IPv6 /48 */
  connectionsPerPrefix: number | undefined
  sessionsPerUser: number | undefined
  sessionsPerDomain: number | undefined
  /** of the name that the back end gets */
  sessionsPerBackendUser: number | undefined
  /** by address */
  connectionRate: Rate | undefined
  loginRate: Rate | undefined
  /** of accepted logins */
  userLoginRate: Rate | undefined
  penalty: PenaltySettings | undefined
}
