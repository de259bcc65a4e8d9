/**
 * Child programs: started with their output kept, stopped by their pid, and never left behind.
 * A child dies with the process that started it, even one that was killed with SIGKILL: the kernel sees to that.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createInterface, type Interface } from 'node:readline'
import type { Scene } from './scene.ts'
import { within } from './deadline.ts'

export type Exit = { code: number | null; signal: NodeJS.Signals | null }

export type Program = {
  name: string
  pid: number
  /** what it has written so far, for messages and assertions */
  stdout: () => string
  stderr: () => string
  /** settles when the program has ended and its output is read to the end */
  exited: Promise<Exit>
  /** the program's end, or undefined while it runs */
  exit: () => Exit | undefined
  /** Waits for a line of stdout or stderr, those already written included. Throws at the deadline or when the program ends first. */
  waitForLine: (wanted: (line: string) => boolean, ms: number, what: string) => Promise<string>
  signal: (signal: NodeJS.Signals) => void
  /** Reads nothing of its output until what it gives is called. */
  holdOutput: () => () => void
  /** SIGTERM, then SIGKILL after `killAfterMs`. Harmless when it has already ended. */
  stop: (killAfterMs?: number) => Promise<Exit>
}

export type ProgramOptions = {
  name: string
  command: string
  args: string[]
  cwd?: string
  env?: NodeJS.ProcessEnv
  /** where its output goes as well, line by line; the demo shows mailmux's log this way */
  show?: (line: string) => void
}

/** Starts a program that `scene.close()` will stop. */
export function startProgram(scene: Scene, options: ProgramOptions): Program {
  // setpriv asks the kernel to end the child when we are gone, then becomes the child: the pid stays the same
  const guarded = existsSync(SETPRIV)
  const child = spawn(
    guarded ? SETPRIV : options.command,
    guarded ? ['--pdeathsig', 'TERM', '--', options.command, ...options.args] : options.args,
    { stdio: ['ignore', 'pipe', 'pipe'], cwd: options.cwd, env: options.env ?? process.env },
  )
  const { stdout, stderr, onLine, holdOutput } = collect(child, options.show)
  const state = { exit: undefined as Exit | undefined }
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once('error', (error) => reject(new Error(`${options.name} cannot be started: ${error.message}`)))
    child.once('close', (code, signal) => {
      state.exit = { code, signal }
      resolve(state.exit)
    })
  })
  exited.catch(() => {}) // who waits for it sees it; who does not must not be ended by it

  const account = () => `\n--- ${options.name} wrote:\n${stdout().slice(-4000)}${stderr().slice(-4000)}`
  const program: Program = {
    name: options.name,
    pid: child.pid ?? 0,
    stdout,
    stderr,
    exited,
    exit: () => state.exit,
    waitForLine: (wanted, ms, what) => {
      const seen = new Promise<string>((resolve) => onLine((line) => wanted(line) && resolve(line)))
      const ended = exited.then((exit): never => {
        throw new Error(`${options.name} ended (${exit.code ?? exit.signal}) before ${what}${account()}`)
      })
      ended.catch(() => {})
      return within(ms, Promise.race([seen, ended]), () => `${options.name}: no sign of ${what}${account()}`)
    },
    signal: (signal) => void child.kill(signal),
    holdOutput,
    stop: async (killAfterMs = 10_000) => {
      if (state.exit !== undefined || child.pid === undefined) return state.exit ?? { code: null, signal: null }
      child.kill('SIGTERM')
      child.kill('SIGCONT') // one that a test has stopped would not hear it
      const timer = setTimeout(() => child.kill('SIGKILL'), killAfterMs)
      try {
        return await exited
      } finally {
        clearTimeout(timer)
      }
    },
  }
  scene.closeLater(async () => {
    await program.stop()
  })
  return program
}

const SETPRIV = '/usr/bin/setpriv' // util-linux, on every Debian

function collect(child: ChildProcess, show?: (line: string) => void) {
  const text = { stdout: '', stderr: '' }
  const lines: string[] = []
  const listeners: ((line: string) => void)[] = []
  const readers: Interface[] = []
  for (const name of ['stdout', 'stderr'] as const) {
    const stream = child[name]
    if (stream === null) continue
    const reader = createInterface({ input: stream })
    readers.push(reader)
    reader.on('line', (line) => {
      text[name] += `${line}\n`
      lines.push(line)
      show?.(line)
      for (const listener of listeners) listener(line)
    })
  }
  return {
    stdout: () => text.stdout,
    stderr: () => text.stderr,
    holdOutput: () => {
      for (const reader of readers) reader.pause()
      return () => {
        for (const reader of readers) reader.resume()
      }
    },
    onLine: (listener: (line: string) => void) => {
      for (const line of lines) listener(line)
      listeners.push(listener)
    },
  }
}
