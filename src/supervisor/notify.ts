/**
 * Tells the service manager the state of this instance, as sd_notify(3) defines it. Node has no datagram sockets of the Unix family, so
 * `systemd-notify` sends the messages. A shell starts it for each message: it runs from the first message on, so that a lack of
 * descriptors in this process suppresses no watchdog message, after which the service manager would end a service that works.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { systemCode } from '../errors.ts'
import type { Log } from '../log.ts'

export type Notifier = {
  /** READY=1. Sent again after a reload. */
  ready: (status: string) => void
  /** What `systemctl status` shows. */
  status: (status: string) => void
  /** RELOADING=1; `ready` must follow. */
  reloading: () => void
  /** STOPPING=1. @param withinMs the service manager waits for so long, even if its unit names less */
  stopping: (status: string, withinMs: number) => void
  /** MAINPID: another process takes the place of this one. Settles when the service manager has the message, or cannot get it. */
  mainPid: (pid: number) => Promise<void>
  /** Sends WATCHDOG=1 as often as the service manager wants it, while `isAlive`. */
  watch: (isAlive: () => boolean) => void
  /** Sends nothing further. Settles when all messages are sent, and after a few seconds at the latest. */
  close: () => Promise<void>
}

/**
 * What the service manager has put into the environment. `watchdogMs`: it ends a service that is silent for so long. `path`: where programs
 * are looked for.
 */
export type ServiceManager = { socket: string; watchdogMs: number | undefined; path: string | undefined }

/**
 * Takes the variables out of the environment, so that no process that is started later speaks for this one.
 * @returns undefined without a service manager that wants messages
 */
export function takeServiceManager(env: NodeJS.ProcessEnv, pid: number): ServiceManager | undefined {
  const { NOTIFY_SOCKET: socket, WATCHDOG_USEC: watchdogUs, WATCHDOG_PID: watchdogPid } = env
  delete env.NOTIFY_SOCKET
  delete env.WATCHDOG_USEC
  delete env.WATCHDOG_PID
  if (socket === undefined || socket === '') return undefined
  const ms = Number(watchdogUs) / 1000
  // sd_watchdog_enabled(3): the watchdog is for the process that is named, or for any if none is.
  const isWatched = ms > 0 && Number.isFinite(ms) && (watchdogPid === undefined || watchdogPid === String(pid))
  return { socket, watchdogMs: isWatched ? ms : undefined, path: env.PATH }
}

/** For an instance that no service manager has started. */
export const NO_NOTIFIER: Notifier = {
  ready: () => undefined,
  status: () => undefined,
  reloading: () => undefined,
  stopping: () => undefined,
  mainPid: () => Promise.resolve(),
  watch: () => undefined,
  close: () => Promise.resolve(),
}

/** Reads the arguments of each call from a line, parted by tabs, and writes its exit code and the last line of what it said. */
const SHELL = `set -f; while IFS= read -r line; do IFS='\t'; words=$(systemd-notify $line 2>&1); echo "$? \${words##*\n}"; done`
/** `systemd-notify` waits up to 5 s until the service manager has a message. */
const CLOSE_MS = 6000
/** A message of `systemd-notify` is one line. */
const LONGEST_WORDS = 200
/** More wait only if the service manager hangs. The last place is for the state of that time. */
const MOST_WAITING = 16
/** sd_watchdog_enabled(3) recommends half of the time. With a third, one message may be late. */
const WATCHDOG_SHARE = 3

/** It starts no process before the first message, which must come after privileges are dropped. */
export function createNotifier(manager: ServiceManager | undefined, log: Log): Notifier {
  if (!manager) return NO_NOTIFIER
  const { socket, watchdogMs, path } = manager
  /** called when the message is sent, or cannot be; in the order of the messages */
  const waiting: (() => void)[] = []
  /** what the service manager must learn once there is a place: a lost READY=1 would leave the service in its reload for ever */
  let late: Record<string, string | number> | undefined
  let lateOnes: (() => void)[] = []
  let shell: ChildProcess | undefined
  let watching: NodeJS.Timeout | undefined
  let isFailing = false
  let isClosed = false

  function start(): ChildProcess {
    const child = spawn('/bin/sh', ['-c', SHELL], {
      stdio: ['pipe', 'pipe', 'ignore'],
      env: { PATH: path, NOTIFY_SOCKET: socket },
    })
    child.stdin.on('error', () => undefined) // its end follows
    createInterface({ input: child.stdout }).on('line', (line) => {
      const [code = '', ...words] = line.split(' ')
      if (code === '0') isFailing = false
      else noteFailure(words.join(' ').slice(0, LONGEST_WORDS) || `exit code ${code}`)
      waiting.shift()?.()
      sendLate()
    })
    child.on('error', (error) => noteEnd(child, systemCode(error)))
    child.on('close', (code, signal) => noteEnd(child, signal ?? `exit code ${code ?? 'unknown'}`))
    return child
  }

  /** The next message starts another shell. */
  function noteEnd(child: ChildProcess, cause: string): void {
    if (shell !== child) return
    shell = undefined
    if (!isClosed) noteFailure(cause)
    for (const settle of waiting.splice(0)) settle()
    if (!isClosed) sendLate()
    else for (const settle of lateOnes.splice(0)) settle()
  }

  function noteFailure(cause: string): void {
    if (!isFailing) log.error({ cause }, 'service manager cannot be notified')
    isFailing = true
  }

  async function send(assignments: Record<string, string | number>): Promise<void> {
    if (isClosed) return
    if (waiting.length < MOST_WAITING - 1) return pass(assignments)
    // A sign of life tells nothing once it is late. A later state takes the place of an earlier one, and the main process stays.
    if ('WATCHDOG' in assignments) return
    late = 'MAINPID' in assignments ? { ...late, ...assignments } : { ...mainPidOf(late), ...assignments }
    return new Promise((resolve) => lateOnes.push(resolve))
  }

  function sendLate(): void {
    if (late === undefined) return
    const [assignments, settled] = [late, lateOnes]
    late = undefined
    lateOnes = []
    void pass(assignments).then(() => {
      for (const settle of settled) settle()
    })
  }

  async function pass(assignments: Record<string, string | number>): Promise<void> {
    const words = Object.entries(assignments).map(([name, value]) => `${name}=${value}`.replaceAll(/\p{Cc}/gu, ' '))
    try {
      shell ??= start()
    } catch (error) {
      noteFailure(systemCode(error)) // Node reports some system errors by an event and throws the others
      return
    }
    shell.stdin?.write(`${words.join('\t')}\n`)
    return new Promise((resolve) => waiting.push(resolve))
  }

  return {
    ready: (status) => void send({ READY: 1, STATUS: status }),
    status: (status) => void send({ STATUS: status }),
    // Type=notify-reload compares the time with that of its signal.
    reloading: () => void send({ RELOADING: 1, MONOTONIC_USEC: String(process.hrtime.bigint() / 1000n) }),
    stopping: (status, withinMs) =>
      void send({ STOPPING: 1, STATUS: status, EXTEND_TIMEOUT_USEC: Math.ceil(withinMs * 1000) }),
    mainPid: (pid) => send({ MAINPID: pid }),
    watch(isAlive) {
      if (watchdogMs === undefined || isClosed) return
      clearInterval(watching)
      watching = setInterval(() => {
        if (isAlive()) void send({ WATCHDOG: 1 })
      }, watchdogMs / WATCHDOG_SHARE)
    },
    async close() {
      if (isClosed) return
      isClosed = true
      clearInterval(watching)
      sendLate()
      const child = shell
      if (!child) return
      const ended = new Promise((resolve) => child.once('close', resolve))
      child.stdin?.end()
      const late = setTimeout(() => child.kill('SIGKILL'), CLOSE_MS)
      await ended
      clearTimeout(late)
    },
  }
}

function mainPidOf(assignments: Record<string, string | number> = {}): Record<string, string | number> {
  return assignments.MAINPID === undefined ? {} : { MAINPID: assignments.MAINPID }
}
