/** `mailmux move --json`: one JSON object a line for each event. docs/commands.md lists them; fields may be added. */
import type { MoveEvent, MoveOrder, MoveOutcome } from '../move/move-user.ts'
import { escapeInJson } from '../printable.ts'

type Ended = { total: number; moved: number; failed: number; notBegun: number; tookMs: number; code: number }

/** What does not apply is absent. */
export type MoveLine =
  | ({ event: 'step'; user: string } & MoveEvent)
  | ({ event: 'moved'; heldMs: number } & MoveOrder)
  | ({ event: 'failed' } & MoveOrder & Omit<Extract<MoveOutcome, { kind: 'failed' }>, 'kind' | 'now'> & Now)
  | { event: 'refused'; errors: string[]; user?: string; temporary?: boolean }
  | { event: 'note'; message: string }
  | ({ event: 'planned' } & MoveOrder)
  | ({ event: 'end' } & Ended)

/** The back end of the route, if another program has changed it; null: the user has no route any more. */
type Now = { backend?: string | null }

/** @returns a line in which a terminal obeys nothing */
export function formatMoveLine(line: MoveLine): string {
  return escapeInJson(JSON.stringify(line))
}

export function describeOutcome({ user, from, to }: MoveOrder, outcome: MoveOutcome): MoveLine {
  const order = { user, from, to }
  if (outcome.kind === 'moved') return { event: 'moved', ...order, heldMs: outcome.heldMs }
  const { kind: _, now, ...facts } = outcome
  return { event: 'failed', ...order, ...facts, ...(now && { backend: now.backend ?? null }) }
}
