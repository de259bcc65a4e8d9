/**
 * The clients of the upgrade soak: sessions that run commands and connect again when mailmux ends them, and logins at a steady pace.
 * Each thing that goes wrong is kept with its cause, and whether its connection is older than the last event (an upgrade, a kill).
 */
import { once } from 'node:events'
import { connect as connectTcp, type Socket } from 'node:net'
import { setTimeout as pass } from 'node:timers/promises'
import { connect as connectTls, type ConnectionOptions } from 'node:tls'
import { BODY_LINES, WIRES, type LoadProtocol, type Wire } from './upgrade-wire.ts'

/** Between two commands of one session, on average. */
const COMMAND_EVERY_MS = 500
/** Longer than a login may take in mailmux. */
const ANSWER_MS = 60_000

export type LoadPort = { protocol: LoadProtocol; port: number; tls: ConnectionOptions | undefined }

export type Mishap = {
  /** `cut`: the store has the command, and its answer did not arrive whole. `lost`: the session ended at rest without a goodbye. */
  what: 'refused' | 'failed' | 'cut' | 'lost'
  protocol: LoadProtocol
  cause: string
  /** the event that was the last one when it happened, and whether the connection is older than that */
  event: string
  isOlder: boolean
}

export type Counts = {
  connections: number
  logins: number
  commands: number
  /** sessions that mailmux has ended at rest */
  ended: number
  /** commands that met a goodbye on the way: the store has not got them */
  crossed: number
}

export type Load = {
  counts: Counts
  mishaps: Mishap[]
  /** From now on mishaps are put down to this. */
  event: (name: string) => void
  stop: () => Promise<void>
}

export type LoadParts = {
  ports: readonly LoadPort[]
  sessions: number
  loginsPerSecond: number
  /** whether the store has got the commands with these marks */
  hasReached: (mark: string) => Promise<boolean>
}

/** One connection, read by lines. */
class Lines {
  readonly #socket: Socket
  readonly #lines: string[] = []
  #unread = ''
  #wake: () => void = () => undefined
  #end: string | undefined

  constructor(socket: Socket) {
    this.#socket = socket
    socket.setNoDelay(true).setEncoding('latin1')
    socket.on('data', (text: string) => {
      const lines = (this.#unread + text).split('\r\n')
      this.#unread = lines.pop() ?? ''
      this.#lines.push(...lines)
      this.#wake()
    })
    const finish = (why: string): void => {
      this.#end ??= why
      this.#wake()
    }
    socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message))
    socket.on('end', () => finish('closed'))
    socket.on('close', () => finish('closed'))
  }

  /** why it has ended; undefined: it has not */
  ended(): string | undefined {
    return this.#end
  }

  send(line: string): void {
    this.#socket.write(`${line}\r\n`)
  }

  /** @returns the next line; undefined if the connection has ended before it */
  async next(): Promise<string | undefined> {
    const deadlineMs = performance.now() + ANSWER_MS
    while (this.#lines.length === 0 && this.#end === undefined) {
      const woken = new Promise<void>((resolve) => (this.#wake = resolve))
      const timer = setTimeout(() => this.#wake(), ANSWER_MS)
      await woken
      clearTimeout(timer)
      if (performance.now() >= deadlineMs) this.#end = 'no answer'
    }
    return this.#lines.shift()
  }

  /** A part of the answer, or of a line, is there. */
  hasMore(): boolean {
    return this.#lines.length > 0 || this.#unread !== ''
  }

  close(): void {
    this.#socket.destroy()
  }
}

export async function startLoad({ ports, sessions, loginsPerSecond, hasReached }: LoadParts): Promise<Load> {
  const counts: Counts = { connections: 0, logins: 0, commands: 0, ended: 0, crossed: 0 }
  const mishaps: Mishap[] = []
  const stopping = new AbortController()
  const isOver = (): boolean => stopping.signal.aborted
  const last = { name: 'start', atMs: performance.now() }
  let marks = 0

  /** @returns a function that keeps a mishap of this connection */
  function noter(protocol: LoadProtocol): (what: Mishap['what'], cause: string) => void {
    const startedMs = performance.now()
    return (what, cause) =>
      void mishaps.push({ what, protocol, cause, event: last.name, isOlder: startedMs < last.atMs })
  }
  type Note = ReturnType<typeof noter>

  async function open({ port, tls }: LoadPort): Promise<Lines> {
    const at = { port, host: '127.0.0.1' }
    const socket = tls ? connectTls({ ...tls, ...at }) : connectTcp(at)
    const lines = new Lines(socket)
    await once(socket, tls ? 'secureConnect' : 'connect')
    return lines
  }

  /** @returns the first line that matches one of the patterns, or undefined at the end of the connection */
  async function find(lines: Lines, ...patterns: (RegExp | undefined)[]): Promise<string | undefined> {
    for (;;) {
      const line = await lines.next()
      if (line === undefined || patterns.some((pattern) => pattern?.test(line))) return line
    }
  }

  async function logIn(port: LoadPort, note: Note): Promise<Lines | undefined> {
    const wire = WIRES[port.protocol]
    counts.connections++
    let lines: Lines
    try {
      lines = await open(port)
    } catch (error) {
      note('refused', String((error as NodeJS.ErrnoException).code ?? error))
      return undefined
    }
    const greeting = await find(lines, wire.isGreeted, wire.goodbye, /^-ERR/)
    if (greeting === undefined || !wire.isGreeted.test(greeting)) {
      note('refused', `greeting: ${greeting ?? lines.ended() ?? ''}`)
      lines.close()
      return undefined
    }
    counts.logins++
    for (const [command, good] of wire.login(`user${marks++ % 1000}@example.test`)) {
      lines.send(command)
      const answer = await find(lines, good, wire.goodbye, /^(a )?(NO|BAD|-ERR)/)
      if (answer === undefined || !good.test(answer)) {
        note('failed', answer ?? lines.ended() ?? '')
        lines.close()
        return undefined
      }
    }
    return lines
  }

  /** @returns whether the session goes on */
  async function runCommand(lines: Lines, wire: Wire, note: Note): Promise<boolean> {
    while (lines.hasMore()) {
      const line = await lines.next()
      if (line !== undefined && wire.goodbye?.test(line)) return endAtRest()
    }
    const ended = lines.ended()
    if (ended !== undefined) {
      // POP3 has no goodbye.
      if (wire.goodbye || ended !== 'closed') note('lost', ended)
      else endAtRest()
      return false
    }
    const mark = `m${marks++}`
    lines.send(wire.command(mark))
    const answered = wire.isAnswered(mark)
    for (let got = 0; ; got++) {
      const line = await lines.next()
      if (line !== undefined && got > BODY_LINES && answered.test(line)) break
      const isGoodbye = line !== undefined && got === 0 && wire.goodbye?.test(line) === true
      if (line !== undefined && !isGoodbye) continue
      if (got > 0 || (await hasReached(mark)))
        note('cut', `${isGoodbye ? 'goodbye' : (lines.ended() ?? '')}, ${got} lines`)
      else {
        counts.crossed++
        if (wire.goodbye && !isGoodbye) note('lost', lines.ended() ?? '')
      }
      return false
    }
    counts.commands++
    return true
  }

  function endAtRest(): false {
    counts.ended++
    return false
  }

  async function keepSession(port: LoadPort, isFirst: () => void): Promise<void> {
    const wire = WIRES[port.protocol]
    while (!isOver()) {
      const note = noter(port.protocol)
      const lines = await logIn(port, note)
      isFirst()
      if (!lines) {
        await pass(100)
        continue
      }
      do await pass(Math.random() * 2 * COMMAND_EVERY_MS)
      while (!isOver() && (await runCommand(lines, wire, note)))
      lines.close()
    }
  }

  async function visit(port: LoadPort): Promise<void> {
    const note = noter(port.protocol)
    const lines = await logIn(port, note)
    if (!lines) return
    if (await runCommand(lines, WIRES[port.protocol], note)) {
      lines.send(WIRES[port.protocol].quit)
      await find(lines)
    }
    lines.close()
  }

  const portOf = (number: number): LoadPort => ports[number % ports.length]!
  const running: Promise<void>[] = []
  for (let number = 0; number < sessions; number++) {
    await new Promise<void>((resolve) => running.push(keepSession(portOf(number), resolve)))
  }
  running.push(
    (async () => {
      const visits = new Set<Promise<void>>()
      const startedMs = performance.now()
      for (let number = 0; !isOver();) {
        for (; number < ((performance.now() - startedMs) / 1000) * loginsPerSecond; number++) {
          const one: Promise<void> = visit(portOf(number)).finally(() => visits.delete(one))
          visits.add(one)
        }
        await pass(5)
      }
      await Promise.all(visits)
    })(),
  )
  return {
    counts,
    mishaps,
    event(name) {
      last.name = name
      last.atMs = performance.now()
    },
    async stop() {
      stopping.abort()
      await Promise.all(running)
    },
  }
}
