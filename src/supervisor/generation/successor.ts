/**
 * The generation after this one: a process of the new version, which this process starts with its open ports. Until the new one serves,
 * nothing changes here; if it fails, crashes or stays silent, it is killed, and this generation goes on.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Block } from '../../blocks/block.ts'
import { systemCode } from '../../errors.ts'
import type { InheritedSocket } from '../../listener/inherited.ts'
import type { Counts } from './counts.ts'
import type { GenerationAnswers, GenerationAsk, Inheritance, ToPredecessor, ToSuccessor } from './messages.ts'

/** Standard output and error, which the new generation goes on writing to. */
const STDOUT = 1
const STDERR = 2

/** A program with its arguments. */
export type Program = { command: string; args: readonly string[] }

export type SuccessorParts = {
  program: Program
  inheritance: Omit<Inheritance, 'ports' | 'blocks' | 'leases'>
  /** those in force */
  blocks: () => readonly Block[]
  ports: readonly InheritedSocket[]
  /** of its start until it serves */
  withinMs: number
  counts: Pick<Counts, 'held' | 'give' | 'lease' | 'takeBack'>
  answers: GenerationAnswers
  /** It asks for the end of this process at once. */
  onAbandoned: () => void
  /** This process is being stopped: no other is to take its place. */
  stopping: AbortSignal
}

export type Successor = {
  pid: number
  /** Has it read its files again. */
  reload: () => void
  /** Sends the last counts of this process, which ends then. Settles when they are sent. */
  leave(): Promise<void>
}

/** @returns the new generation, which serves. @throws Error with a message for the operator; no process of it is left then */
export async function startSuccessor(parts: SuccessorParts): Promise<Successor> {
  const { program, inheritance, blocks, counts, ports, withinMs, answers, onAbandoned, stopping } = parts
  let child: ChildProcess
  try {
    child = spawn(program.command, program.args, {
      // As FIRST_PORT says. Detached: a signal to the process group of this generation is not for the next one.
      stdio: ['ignore', STDOUT, STDERR, 'ipc', ...ports.map(({ descriptor }) => descriptor)],
      detached: true,
      serialization: 'advanced',
    })
  } catch (error) {
    throw new Error(`the new version cannot be started: ${systemCode(error)}`, { cause: error })
  }
  const send = (message: ToSuccessor): Promise<void> =>
    new Promise((resolve) => {
      if (child.connected) child.send(message, () => resolve())
      else resolve()
    })
  const serves = Promise.withResolvers<undefined>()
  const fail = (why: string): void => serves.reject(new Error(why))
  child.on('error', (error) => fail(`the new version cannot be started: ${systemCode(error)}`))
  child.on('exit', (code, signal) => {
    counts.takeBack()
    fail(`the new version has ended before it served: ${signal ?? `exit code ${code ?? 'unknown'}`}`)
  })
  child.on('message', (sent) => {
    const message = sent as ToPredecessor
    switch (message.kind) {
      case 'prepared':
        return void accept()
      case 'ready':
        return serves.resolve(undefined)
      case 'failed':
        return fail(message.why)
      case 'ask':
        return void answer(message.id, message.ask)
      case 'abandon':
        return onAbandoned()
    }
  })

  async function accept(): Promise<void> {
    await counts.give((changes) => send({ kind: 'counts', changes }))
    await send({ kind: 'accept', blocks: blocks(), leases: counts.held() })
  }

  async function answer(id: number, ask: GenerationAsk): Promise<void> {
    try {
      await send({ kind: 'answer', id, answer: await tell(ask, answers, counts) })
    } catch (error) {
      await send({ kind: 'no-answer', id, why: error instanceof Error ? error.message : String(error) })
    }
  }

  const stop = (): void => fail('mailmux is being stopped')
  stopping.addEventListener('abort', stop)
  const enough = new AbortController()
  const late = sleep(withinMs, undefined, { signal: enough.signal }).then(
    () => fail(`the new version does not report ready within ${withinMs / 1000} s`),
    () => undefined,
  )
  void send({
    kind: 'inherit',
    ...inheritance,
    blocks: blocks(),
    leases: counts.held(),
    ports: ports.map(({ host, port }) => ({ host, port })),
  })
  try {
    await serves.promise
  } catch (error) {
    child.kill('SIGKILL')
    counts.takeBack()
    throw error
  } finally {
    enough.abort()
    stopping.removeEventListener('abort', stop)
    await late
  }
  return {
    pid: child.pid ?? 0,
    reload: () => void child.kill('SIGHUP'),
    leave: async () => send({ kind: 'last', readings: await answers.readings() }),
  }
}

function tell(ask: GenerationAsk, answers: GenerationAnswers, counts: Pick<Counts, 'lease'>): Promise<unknown> {
  switch (ask.what) {
    case 'readings':
      return answers.readings()
    case 'lease':
      return counts.lease(ask.caps)
    case 'facts':
      return answers.facts()
    case 'sessions':
      return answers.sessions(ask.filter)
    case 'endSessions':
      return answers.endSessions(ask.order)
    case 'trace':
      return answers.trace(ask.order)
  }
}
