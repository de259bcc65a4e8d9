/**
 * What the instances of one site have in common: a list of members, a heartbeat of each, and messages to all or to one. In Redis
 * (redis-exchange.ts); a test has it in memory.
 */

/** A heartbeat expires after this time. It is written every 5 s, so that two may be lost. */
export const HEARTBEAT_SECONDS = 15
/**
 * A member that did not leave in order stays in the list for this time after its heartbeat has expired: it may be cut off from Redis and
 * still serve. A longer time would show each crashed process for longer.
 */
export const LOST_SECONDS = 600
/** Members that are read. More than a site has; the list is data that others can write. */
export const MAX_MEMBERS = 1000

export type Member = {
  /** `<host>/<id>`: unique, and says where it runs */
  name: string
  /** since its last heartbeat, by the clock of the store */
  ageSeconds: number
}

export type ExchangeListener = {
  /** A question to all. It includes this instance's own. */
  onQuestion: (text: string) => void
  /** An answer to this instance. */
  onAnswer: (text: string) => void
  /** Messages arrive from now on. */
  onListening: () => void
  /** Commands reach the store from now on. It may be later than `onListening`: each has a connection of its own. */
  onConnected: () => void
  /** A command fails, or works again. Called for each result. @param cause in the store's words; undefined: it works */
  onResult: (step: Step, cause: string | undefined) => void
}

/** What may fail for itself: the whole connection, or one command that the store's user has no right to. */
export type Step = 'connection' | 'heartbeat' | 'list' | 'read' | 'subscribe' | 'publish'

export type Exchange = {
  /** Writes the heartbeat. @returns the number of instances with a heartbeat. @throws Error */
  beat(text: string): Promise<number>
  /** Removes the heartbeat and the member. @throws Error */
  leave(): Promise<void>
  /** The members with the youngest heartbeat first; those that are lost too. @throws Error */
  members(): Promise<Member[]>
  /** The text of a heartbeat; undefined if it has expired. @throws Error */
  heartbeatOf(name: string): Promise<string | undefined>
  /** Sends a question to all. @throws Error */
  ask(text: string): Promise<void>
  /** Sends an answer to one. @throws Error */
  answer(to: string, text: string): Promise<void>
  close(): void
}

/** Called once, with the name of this instance. */
export type OpenExchange = (name: string, listener: ExchangeListener) => Exchange

const NAME = /^[\w.-]{1,253}\/[\da-f]{12}$/

export function isInstanceName(text: string): boolean {
  return NAME.test(text)
}

/** @param host as the system names it. @param id 12 hex digits */
export function instanceName(host: string, id: string): string {
  return `${host.replace(/[^\w.-]/g, '-').slice(0, 253) || 'localhost'}/${id}`
}

/** @param name of an instance */
export function splitName(name: string): { host: string; id: string } {
  const [host = '', id = ''] = name.split('/')
  return { host, id }
}
