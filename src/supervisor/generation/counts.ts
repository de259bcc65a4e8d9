/**
 * The limits across generations: an older generation gives what it counts to the next one, and then each change, and its part of the limits
 * of back ends is leased by the next one. So a user has as many sessions, and a back end as many logins, as without an upgrade.
 */
import type { AskHolder, Caps, Held, Uses } from '../../leases/lessor.ts'
import type { LedgerChange } from '../../limits/ledger-change.ts'
import type { ClientLimits } from '../client-limits.ts'
import type { LeaseKeeper } from '../leases.ts'

/** Changes in one message, which is read within a few milliseconds. Both generations serve between two messages. */
const AT_ONCE = 1000

export type Counts = {
  /** the parts of back ends' limits that this instance holds */
  held: () => Held | undefined
  /** Sends all that is counted, and each change from then on. Settles when the first is sent. */
  give(send: (changes: readonly LedgerChange[]) => Promise<void>): Promise<void>
  /** The next generation leases to this one. */
  lease: (caps: Caps) => Promise<Uses>
  /** There is no next generation, or it has ended. */
  takeBack(): void
  /** The generation before this one holds this, and counts on until it has ended. */
  inherit(elder: Elder): void
  /** It gives up now what it does not need; undefined: it has ended, or has nothing. */
  share(holds: Held | undefined): Promise<void>
}

export type Elder = {
  leases: Held | undefined
  lease: AskHolder
  /** @param hear called with what it counts */
  onCounts: (hear: (changes: readonly LedgerChange[]) => void) => void
  ended: Promise<void>
}

type Parts = {
  limits: Pick<ClientLimits, 'handOver' | 'hear' | 'endElder'>
  leases: Pick<LeaseKeeper, 'held' | 'obey' | 'join' | 'leave' | 'shareWith'>
}

export function createCounts({ limits, leases }: Parts): Counts {
  let holder: AskHolder | undefined
  let isElderAsked = false

  return {
    held: leases.held,
    async give(send) {
      const told: LedgerChange[] = []
      const tell = (change: LedgerChange): void => {
        if (told.push(change) > 1) return
        setImmediate(() => void send(told.splice(0)))
      }
      let piece: LedgerChange[] = []
      for (const change of limits.handOver(tell)) {
        if (piece.push(change) < AT_ONCE) continue
        await send(piece)
        piece = []
      }
      await send(piece)
    },
    lease: leases.obey,
    takeBack() {
      limits.handOver(undefined)
      void leases.obey(undefined)
    },
    inherit(elder) {
      elder.onCounts((changes) => changes.forEach(limits.hear))
      // Until this generation may accept, the elder has all that it held, and the workers here have the rest.
      const lease: AskHolder = (caps) =>
        isElderAsked ? elder.lease(caps) : Promise.reject(new Error('it is not asked yet'))
      if (elder.leases) leases.join(lease, elder.leases)
      void elder.ended.then(() => {
        leases.leave(lease)
        limits.endElder()
        holder = undefined
      })
      holder = lease
    },
    async share(holds) {
      isElderAsked = true
      if (holder && holds) await leases.shareWith(holder, holds)
    },
  }
}
