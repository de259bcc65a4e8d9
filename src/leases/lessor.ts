/**
 * Leases parts of limits to holders, such that all holders together never use more than a limit. A holder is a worker; it is asked with
 * the caps that it must not exceed from now on, and answers with what it uses and what waits.
 *
 * The lessor counts for each holder the most that it may use: the last cap that it was sent, or more if it uses more. A cap is raised
 * only by what no other holder counts for. A cap is lowered at once, but its difference is free only after the holder's answer, because
 * the holder may have used it meanwhile. A holder that does not answer keeps its leases, as its sessions go on; they return when it ends.
 */
import { distribute, type Need } from './distribute.ts'

/** Which limit of which back end: `sessions store1`. */
export type LeaseKey = string

/** What a holder uses of a limit, and what waits there because the cap is reached. */
export type Use = { used: number; waiting: number }

export type Uses = ReadonlyMap<LeaseKey, Use>
export type Caps = ReadonlyMap<LeaseKey, number>

/** What a holder that has joined late holds already, uses, and needs. */
export type Held = ReadonlyMap<LeaseKey, { held: number } & Need>

/** Applies these caps at once. @returns what is used after that. @throws Error without an answer in time */
export type AskHolder = (caps: Caps) => Promise<Uses>

export type Lessor = {
  /** A holder that uses nothing, or what it holds. The same function identifies it later. */
  join(holder: AskHolder, holds?: Held): void
  /** It has ended: its leases return. */
  leave(holder: AskHolder): void
  /** Asks this holder, or all of them, and divides the limits anew. */
  renew(holder?: AskHolder): void
  /** Settles when each holder that is asked now has answered, or has not in time. */
  settled(): Promise<void>
  /** Whether a holder needs more than it has. */
  isShort(): boolean
  /** The most that all holders may use now, and what they need. */
  total: (key: LeaseKey) => { held: number } & Need
}

type Row = { cap: number; held: number; used: number; need: number }
/** How long a part that cannot be divided stays with one holder: longer than most logins, which end within it. */
const TURN_MS = 1000

type Member = { ask: AskHolder; rows: Map<LeaseKey, Row>; isAsked: boolean; isDue: boolean; answer?: Promise<void> }

/** @param limits the limits of now, which are read at each step. @param nowMs a monotonic clock */
export function createLessor(limits: () => Caps, nowMs: () => number): Lessor {
  const members = new Map<AskHolder, Member>()

  /** The cap that each member should come to, by key. */
  function targets(key: LeaseKey, limit: number): Map<Member, number> {
    const all = [...members.values()]
    const needs = all.map(({ rows }) => rows.get(key) ?? NOTHING)
    const parts = distribute(limit, needs, Math.floor(nowMs() / TURN_MS))
    return new Map(all.map((member, index) => [member, parts[index] ?? 0]))
  }

  function heldOf(key: LeaseKey): number {
    let sum = 0
    for (const { rows } of members.values()) sum += rows.get(key)?.held ?? 0
    return sum
  }

  /** @returns the cap on the way to the target that is safe now. Over a limit that was lowered, no holder takes what another one gives up */
  function nextCap(key: LeaseKey, limit: number, target: number, held: number): number {
    return Math.max(0, Math.min(target, held + limit - heldOf(key)))
  }

  function consult(member: Member): void {
    if (member.isAsked) {
      member.isDue = true
      return
    }
    const caps = new Map<LeaseKey, number>()
    for (const [key, limit] of limits()) {
      const row = member.rows.get(key) ?? { ...NOTHING }
      row.cap = nextCap(key, limit, targets(key, limit).get(member) ?? 0, row.held)
      row.held = Math.max(row.held, row.cap)
      member.rows.set(key, row)
      caps.set(key, row.cap)
    }
    for (const key of member.rows.keys()) if (!caps.has(key)) member.rows.delete(key)
    member.isAsked = true
    member.isDue = false
    member.answer = member.ask(caps).then(
      (uses) => hear(member, caps, uses),
      () => {
        member.isAsked = false // its leases stay; the next renewal asks again
      },
    )
  }

  function hear(member: Member, caps: Caps, uses: Uses): void {
    member.isAsked = false
    if (members.get(member.ask) !== member) return // it has left
    for (const [key, cap] of caps) {
      const row = member.rows.get(key)
      if (!row) continue
      const { used, waiting } = uses.get(key) ?? NO_USE
      row.held = Math.max(cap, used)
      row.used = used
      row.need = used + waiting
    }
    if (member.isDue) consult(member)
    settle()
  }

  /** While a holder is short: takes from the others what they do not need, and gives it what is free. */
  function settle(): void {
    for (const [key, limit] of limits()) {
      if (!isShortOf(key)) continue
      for (const [member, target] of targets(key, limit)) {
        const row = member.rows.get(key) ?? NOTHING
        if (!member.isAsked && nextCap(key, limit, target, row.held) !== row.cap) consult(member)
      }
    }
  }

  function isShortOf(key: LeaseKey): boolean {
    return [...members.values()].some(({ rows }) => isShort(rows.get(key) ?? NOTHING))
  }

  return {
    join(ask, holds = new Map()) {
      const rows = new Map([...holds].map(([key, { held, ...need }]) => [key, { cap: held, held, ...need }]))
      members.set(ask, { ask, rows, isAsked: false, isDue: false })
    },
    leave(ask) {
      if (members.delete(ask)) settle()
    },
    renew(ask) {
      const one = ask && members.get(ask)
      for (const member of one ? [one] : members.values()) consult(member)
    },
    async settled() {
      await Promise.all([...members.values()].map(({ answer }) => answer ?? Promise.resolve()))
    },
    isShort: () => [...limits().keys()].some(isShortOf),
    total(key) {
      const total = { held: heldOf(key), used: 0, need: 0 }
      for (const { rows } of members.values()) {
        total.used += rows.get(key)?.used ?? 0
        total.need += rows.get(key)?.need ?? 0
      }
      return total
    },
  }
}

/** Something waits for a higher cap. What is over the cap since it was lowered does not wait. */
function isShort({ cap, used, need }: Row): boolean {
  return need > used && need > cap
}

const NOTHING: Row = { cap: 0, held: 0, used: 0, need: 0 }
const NO_USE: Use = { used: 0, waiting: 0 }
