/**
 * What users in the routing file cost a running mailmux: the time until it is ready, its memory, and for how long a reload holds up each
 * process. `node test/soak/large-file.ts 100000` measures one number of users, with one worker and with two; 0 is the base.
 * `MAILMUX_MAIN=dist/main.js` measures what `npm run build` made.
 */
import { spawn } from 'node:child_process'
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as pass } from 'node:timers/promises'
import { until } from '../support/deadline.ts'
import { freePort } from '../support/ports.ts'
import { listProcesses, readStat } from '../support/process-tree.ts'
import type { LoopDelay } from './loop-delay.ts'

const MIB = 1024 * 1024
/** A million users take the most of it. */
const DEADLINE_MS = 300_000
/** After which the garbage of a start or a reload is collected, as far as it is at all. */
const REST_MS = 3000

const main = path.resolve(process.env.MAILMUX_MAIN ?? path.join(import.meta.dirname, '../../src/main.ts'))
const probe = path.join(import.meta.dirname, 'loop-delay.ts')

type Figures = { users: number; workers: number; fileMiB: string } & Record<string, number | string>

/** One user more, whose login differs from reload to reload. */
function routing(users: number, change: number): string {
  const lines = Array.from({ length: users }, (_, index) => `  user${index}@example.org: store1\n`)
  return `backends:\n  store1: {host: 127.0.0.1, imap: 1}\nusers:\n  changed@example.org: {backend: store1, login: u${change}}\n${lines.join('')}`
}

/** The time for which the process and those of its children that have ended had a processor. */
function cpuMs(pid: number): number {
  // The fields utime, stime, cutime and cstime of proc(5), in hundredths of a second.
  const ticks = readStat(String(pid))?.slice(11, 15) ?? []
  return ticks.reduce((sum, tick) => sum + Number(tick) * 10, 0)
}

async function measure(users: number, workers: number): Promise<Figures> {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mailmux-large-'))
  const routingFile = path.join(directory, 'routing.yaml')
  const configFile = path.join(directory, 'mailmux.yaml')
  const [imap, admin] = [await freePort(), await freePort()]
  const settings = [
    `workers: ${workers}`,
    `listeners: [{name: imap, protocol: imap, listen: ["127.0.0.1:${imap}"], tls: none, allow_plaintext_auth: true}]`,
    `admin: {listen: "127.0.0.1:${admin}"}`,
    'settle: 100ms',
  ]
  fs.writeFileSync(configFile, `${settings.join('\n')}\n`)
  fs.writeFileSync(routingFile, routing(users, 0))
  const fileMiB = (fs.statSync(routingFile).size / MIB).toFixed(1)
  const startedAt = performance.now()
  const child = spawn(process.execPath, ['--max-semi-space-size=16', main, 'run', '-c', configFile], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: `--import=${probe}` },
  })
  const lines: string[] = []
  const told = new Map<number, LoopDelay>()
  createInterface({ input: child.stdout }).on('line', (line) => void lines.push(line))
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (!line.startsWith('{"pid"')) return void process.stderr.write(`${line}\n`)
    const delay = JSON.parse(line) as LoopDelay
    told.set(delay.pid, delay)
  })
  const count = (text: string): number => lines.filter((line) => line.includes(text)).length
  const logged = (text: string, times: number) =>
    until(
      DEADLINE_MS,
      () => count(text) >= times || undefined,
      () => `no ${times} lines "${text}" in ${lines.join('\n')}`,
    )

  /** The longest delay in each process since this was asked last: the supervisor, or all that there is, first. */
  async function delays(): Promise<string> {
    const pids = listProcesses(child.pid ?? 0).map(Number)
    told.clear()
    for (const pid of pids) process.kill(pid, 'SIGUSR2')
    await until(
      DEADLINE_MS,
      () => pids.every((pid) => told.has(pid)) || undefined,
      () => 'no delays',
    )
    return pids
      .map((pid) => `${Math.round(told.get(pid)?.delayMs ?? 0)}/${Math.round(told.get(pid)?.busyMs ?? 0)}`)
      .join(' ')
  }
  const memory = (what: 'VmRSS' | 'VmHWM'): string =>
    listProcesses(child.pid ?? 0)
      .map((pid) => {
        const status = fs.readFileSync(`/proc/${pid}/status`, 'utf8')
        return Math.round(Number(new RegExp(`^${what}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) / 1024)
      })
      .join(' ')

  let change = 0
  async function reload(cause: () => void): Promise<[ms: number, delays: string]> {
    await delays()
    const before = performance.now()
    change++
    cause()
    await logged('configuration taken over', change)
    const ms = Math.round(performance.now() - before)
    await pass(REST_MS)
    return [ms, await delays()]
  }
  try {
    await logged('"ready"', 1)
    const startMs = Math.round(performance.now() - startedAt)
    const startCpuMs = cpuMs(child.pid ?? 0)
    await pass(REST_MS)
    const [fresh, freshPeak] = [memory('VmRSS'), memory('VmHWM')]
    await delays()
    await pass(REST_MS)
    const idle = await delays()
    const renamed = await reload(() => {
      fs.writeFileSync(`${routingFile}.new`, routing(users, change))
      fs.renameSync(`${routingFile}.new`, routingFile)
    })
    const inPlace = await reload(() => fs.writeFileSync(routingFile, routing(users, change)))
    const signalled = await reload(() => void child.kill('SIGHUP'))
    return {
      users,
      workers,
      fileMiB,
      startMs,
      startCpuMs,
      freshMiB: fresh,
      peakMiB: freshPeak,
      'idle delay ms': idle,
      'rename ms': renamed[0],
      'rename delay': renamed[1],
      'in place ms': inPlace[0],
      'in place delay': inPlace[1],
      'SIGHUP ms': signalled[0],
      'SIGHUP delay': signalled[1],
      laterMiB: memory('VmRSS'),
    }
  } finally {
    child.kill('SIGTERM')
    await new Promise((resolve) => child.once('exit', resolve))
    fs.rmSync(directory, { recursive: true })
  }
}

for (const users of process.argv.slice(2).map(Number)) {
  for (const workers of [1, 2]) process.stdout.write(`${JSON.stringify(await measure(users, workers))}\n`)
}
