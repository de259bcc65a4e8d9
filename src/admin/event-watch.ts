/** Finds what has changed on the instance, for the events: compares its state with the one before, and only while there are readers. */
import { setTimeout as pass } from 'node:timers/promises'
import type { MovesAnswer } from './answers.ts'
import type { BlocksListed } from './block-routes.ts'
import type { Events } from './events.ts'
import type { StatusAnswer } from './status-answers.ts'

/** The answer needs all workers; a reader sees a change within this time. */
const EVERY_MS = 2000

export type Watched = {
  status: StatusAnswer
  blocks: BlocksListed['blocks']
  moves: MovesAnswer['moves']
}

export type Found = { name: string; data: object }

export type EventWatch = {
  /** Begins, or ends. */
  turn: (isOn: boolean) => void
}

/** @param look may fail, while no worker answers */
export function createEventWatch(
  look: () => Promise<Watched>,
  publish: Events['publish'],
  everyMs = EVERY_MS,
): EventWatch {
  let running: AbortController | undefined

  async function watch({ signal }: AbortController): Promise<void> {
    let before: Watched | undefined
    for (;;) {
      const now = await look().catch(() => undefined)
      if (signal.aborted) return
      if (before && now) for (const { name, data } of findEvents(before, now)) publish(name, data)
      before = now ?? before
      await pass(everyMs, undefined, { signal, ref: false }).catch(() => undefined)
    }
  }

  return {
    turn(isOn) {
      running?.abort()
      running = isOn ? new AbortController() : undefined
      if (running) void watch(running)
    },
  }
}

/** Exported for its test. */
export function findEvents(before: Watched, now: Watched): Found[] {
  return [
    ...findReload(before.status.config, now.status.config),
    ...compare('instance', instancesOf(before), instancesOf(now)),
    ...compare('backend', backendsOf(before), backendsOf(now)),
    ...compare('address', addressesOf(before), addressesOf(now)),
    ...compare('block', blocksOf(before), blocksOf(now)),
    ...compare('move', movesOf(before), movesOf(now)),
    ...findRefusals(before.status, now.status),
  ]
}

type Facts = Map<string, object>

/** An event for each key that is new, gone or different: `before` is absent for a new one, `after` for one that is gone. */
function compare(name: string, before: Facts, now: Facts): Found[] {
  return [...new Set([...before.keys(), ...now.keys()])].flatMap((key) => {
    const [old, after] = [before.get(key), now.get(key)]
    if (JSON.stringify(old) === JSON.stringify(after)) return []
    return [{ name, data: { key, ...(old && { before: old }), ...(after && { after }) } }]
  })
}

function instancesOf({ status }: Watched): Facts {
  const { instances = [] } = status.instances ?? {}
  return new Map(
    instances.map(({ id, host, state, version, generation }) => [`${host}/${id}`, { state, version, generation }]),
  )
}

function backendsOf({ status: { backends = [] } }: Watched): Facts {
  return new Map(
    backends.map(({ name, up, state, stateFrom, overMs, reassign }) => [
      name,
      { up, state, stateFrom, overMs, reassign },
    ]),
  )
}

function addressesOf({ status: { backends = [] } }: Watched): Facts {
  return new Map(
    backends.flatMap(({ name, addresses }) =>
      addresses.map(({ protocol, ip, port, state, lastError }) => [
        `${name} ${protocol} ${ip} ${port}`,
        { backend: name, protocol, ip, port, state, lastError },
      ]),
    ),
  )
}

function blocksOf({ blocks }: Watched): Facts {
  return new Map(blocks.map((block) => [`${block.kind} ${block.target}`, block]))
}

function movesOf({ moves }: Watched): Facts {
  return new Map(
    moves.map(({ run, by, total, moved, failed, unknown, running }) => [
      run,
      { by, total, moved, failed, unknown, running },
    ]),
  )
}

function findReload(before: StatusAnswer['config'], now: StatusAnswer['config']): Found[] {
  if (before.loadedMs === now.loadedMs && before.failure?.atMs === now.failure?.atMs) return []
  return [{ name: 'reload', data: now }]
}

/** How many clients and logins were refused since the last time, by reason. Names and addresses are in the log. */
function findRefusals(before: StatusAnswer, now: StatusAnswer): Found[] {
  const logins = now.logins.refused - before.logins.refused
  const failed = now.logins.failed - before.logins.failed
  const data = {
    ...(logins > 0 && { refused: logins }),
    ...(failed > 0 && { failed }),
    ...grown('rejected', before.rejected, now.rejected),
    ...grown('limited', before.limited, now.limited),
  }
  return Object.keys(data).length === 0 ? [] : [{ name: 'refusals', data }]
}

type Counts = StatusAnswer['rejected']

function grown(what: 'rejected' | 'limited', before: Counts, now: Counts): Record<string, Record<string, number>> {
  const old = new Map(before.map(({ name, count }) => [name, count]))
  const more = now.flatMap(({ name, count }) => {
    const by = count - (old.get(name) ?? 0)
    return by > 0 ? [[name, by] as const] : []
  })
  return more.length === 0 ? {} : { [what]: Object.fromEntries(more) }
}
