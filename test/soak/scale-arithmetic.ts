/** From what was measured on one machine to what a hundred million users need. Pure; every line carries its formula. */
import type { ScaleFigures } from './scale-figures.ts'

/** What is assumed and not measured. */
export type Assumptions = {
  users: number
  sessions: number
  /** until a client connects anew: IMAP clients that IDLE do so every half hour, and whenever their network changes */
  sessionMinutes: number
  /** logins in the worst hour, or while everybody comes back after an outage, over those of an average one */
  peak: number
  /** of a core, so that a failure elsewhere finds room */
  usableCore: number
  /** of one mailmux process, cache and all */
  gibPerInstance: number
  /** of routes in one Redis master: as much again is for its copy while it saves, and for growth */
  gibPerMaster: number
  /** routes that change: 1,000 a second move every user within 28 hours */
  changesPerSecond: number
}

export const ASSUMED: Assumptions = {
  users: 100e6,
  sessions: 10e6,
  sessionMinutes: 30,
  peak: 3,
  usableCore: 0.5,
  gibPerInstance: 4,
  gibPerMaster: 8,
  changesPerSecond: 1000,
}

export type Line = { what: string; formula: string; value: number; unit: string }

const GIB = 2 ** 30

/** CPU that one more instance costs Redis for a write, in µs: from none to the most that were measured. */
export function costOfTelling(tracking: ScaleFigures['tracking']): { alone: number; each: number } {
  const rows = tracking.toSorted((a, b) => a.instances - b.instances)
  const [none, most] = [rows[0], rows.at(-1)]
  if (none?.instances !== 0 || !most || most.instances === 0) throw new Error('tracking was not measured')
  return {
    alone: none.redisCpuUsPerWrite,
    each: (most.redisCpuUsPerWrite - none.redisCpuUsPerWrite) / most.instances,
  }
}

/** CPU that a change costs an instance that hears of it, in µs: at the highest rate that it kept up with, less what it does without any. */
export function costOfHearing(changes: ScaleFigures['changes']): number {
  const rows = changes.filter(({ cut }) => !cut).toSorted((a, b) => a.perSecond - b.perSecond)
  const [none, most] = [rows[0], rows.at(-1)]
  if (none?.perSecond !== 0 || !most || most.perSecond === 0) throw new Error('changes were not measured')
  return ((most.cpuMs / most.seconds - none.cpuMs / none.seconds) * 1000) / most.perSecond
}

/** @param measured all of it */
export function calculate(measured: ScaleFigures, assumed: Assumptions): Line[] {
  const { users, sessions, sessionMinutes, peak, usableCore, gibPerInstance, gibPerMaster, changesPerSecond } = assumed
  const { cpuUsPerTlsLogin, kiBPerTlsSession, freshKiB } = measured.costs
  const { residentBytesPerRoute } = measured.redis
  const cpuUsPerChange = costOfHearing(measured.changes)
  const heapBytesPerUser = Math.max(measured.memory.heapBytesPerUser, measured.memoryOfAll.heapBytesPerUser)
  const bytesPerChange = measured.tracking.at(-1)?.bytesPerChange ?? NaN
  const redisUsPerLookup = Math.max(...measured.lookups.map((row) => row.redisCpuUs))
  const telling = costOfTelling(measured.tracking)

  const lines: Line[] = []
  const line = (what: string, formula: string, value: number, unit: string): number => {
    lines.push({ what, formula, value, unit })
    return value
  }
  const n = (value: number): string => showNumber(value)

  const average = line(
    'logins, on average',
    `${n(sessions)} sessions / ${sessionMinutes} min`,
    sessions / (sessionMinutes * 60),
    'a second',
  )
  const logins = line('logins, at the peak', `${n(average)} × ${peak}`, average * peak, 'a second')
  const byCpu = line(
    'instances, by the CPU of logins',
    `${n(logins)} × ${n(cpuUsPerTlsLogin)} µs / ${usableCore} of a core`,
    Math.ceil((logins * cpuUsPerTlsLogin) / 1e6 / usableCore),
    'cores',
  )
  const roomBytes = gibPerInstance * GIB - freshKiB * 1024
  const perSessionBytes = kiBPerTlsSession * 1024 + heapBytesPerUser
  const byMemory = line(
    'instances, by the memory of sessions',
    `${n(sessions)} × (${n(kiBPerTlsSession)} KiB + ${n(heapBytesPerUser)} B of cache) / (${gibPerInstance} GiB - ${n(freshKiB / 1024)} MiB)`,
    Math.ceil((sessions * perSessionBytes) / roomBytes),
    'processes',
  )
  const instances = line('instances', 'the larger', Math.max(byCpu, byMemory), 'processes')
  line('sessions on each', `${n(sessions)} / ${n(instances)}`, sessions / instances, 'sessions')
  line(
    'cache_size where clients keep to their instance',
    `${n(sessions)} / ${n(instances)}: ${n(((sessions / instances) * heapBytesPerUser) / 2 ** 20)} MiB each`,
    sessions / instances,
    'users',
  )
  line(
    'cache_size where they go anywhere',
    `${n(sessions)}: ${n((sessions * heapBytesPerUser) / GIB)} GiB each`,
    sessions,
    'users',
  )

  const redisBytes = line(
    'routes in Redis',
    `${n(users)} × ${n(residentBytesPerRoute)} B`,
    (users * residentBytesPerRoute) / GIB,
    'GiB',
  )
  const byRoom = line(
    'Redis masters, by memory',
    `${n(redisBytes)} GiB / ${gibPerMaster} GiB`,
    Math.ceil(redisBytes / gibPerMaster),
    'masters',
  )
  const tellingUs = telling.alone + instances * telling.each
  const masters = line(
    'Redis masters, by changes and lookups too',
    `(${n(changesPerSecond)} × (${n(telling.alone)} + ${n(instances)} × ${n(telling.each)}) µs + ${n(logins)} × ${n(redisUsPerLookup)} µs) / ${usableCore} of a core, or those by memory`,
    Math.max(byRoom, Math.ceil((changesPerSecond * tellingUs + logins * redisUsPerLookup) / 1e6 / usableCore)),
    'masters',
  )
  line('each with a replica', `${n(masters)} × 2`, masters * 2, 'Redis processes')
  line('connections to each master', `${n(instances)} × 2`, instances * 2, 'connections')
  line('lookups, where no route is remembered', `${n(logins)} / ${n(masters)}`, logins / masters, 'a second and master')
  line(
    'changes told',
    `${n(changesPerSecond)} × ${n(instances)}`,
    changesPerSecond * instances,
    'a second, by all masters together',
  )
  line(
    'their traffic',
    `${n(changesPerSecond)} × ${n(instances)} × ${n(bytesPerChange)} B`,
    (changesPerSecond * instances * bytesPerChange * 8) / 1e6,
    'Mbit/s, of all masters together',
  )
  line(
    'CPU of each instance for them',
    `${n(changesPerSecond)} × ${n(cpuUsPerChange)} µs`,
    ((changesPerSecond * cpuUsPerChange) / 1e6) * 100,
    '% of a core',
  )
  line(
    'CPU of each master for them',
    `${n(changesPerSecond)} / ${n(masters)} × (${n(telling.alone)} + ${n(instances)} × ${n(telling.each)}) µs`,
    ((changesPerSecond / masters) * tellingUs * 100) / 1e6,
    '% of a core',
  )
  line(
    'most changes that these masters carry',
    `${n(masters)} × ${usableCore} of a core / ${n(tellingUs)} µs`,
    (masters * usableCore * 1e6) / tellingUs,
    'a second',
  )
  return lines
}

/** Three digits that say something; thousands apart. */
export function showNumber(value: number): string {
  if (!Number.isFinite(value)) return String(value)
  return value.toLocaleString('en-US', { maximumSignificantDigits: 3 })
}
