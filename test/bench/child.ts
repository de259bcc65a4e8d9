/** A module of this folder run as a child process that answers one message at a time: the sink and the load generator. */
import { type ChildProcess, fork } from 'node:child_process'
import { join } from 'node:path'
import type { Scene } from '../support/scene.ts'

export type Child<Ask, Answer> = {
  pid: number
  /** what it said when it was ready */
  ready: Answer
  /** Rejects with the child's own words when it answers `ok: false`, and when it ends instead. */
  ask: (message: Ask) => Promise<Answer>
  stop: () => Promise<void>
}

export type Reply<Answer> = ({ ok: true } & Answer) | { ok: false; error: string }

/** Starts `file` and waits for its first message; `scene.close()` ends it. */
export async function startChild<Ask extends object, Answer extends object>(
  scene: Scene,
  file: string,
  args: string[] = [],
): Promise<Child<Ask, Answer>> {
  const child = fork(join(import.meta.dirname, file), args, { execArgv: [] })
  const stop = () => stopChild(child)
  scene.closeLater(stop)
  const hear = async (): Promise<Answer> => {
    const reply = (await nextMessage(child, file)) as Reply<Answer>
    if (!reply.ok) throw new Error(reply.error)
    return reply
  }
  return {
    pid: child.pid ?? 0,
    ready: await hear(),
    ask: (message) => {
      const answered = hear()
      child.send(message)
      return answered
    },
    stop,
  }
}

function nextMessage(child: ChildProcess, name: string): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const ended = () => reject(new Error(`${name} ended`))
    child.once('exit', ended)
    child.once('message', (message) => {
      child.off('exit', ended)
      resolve(message)
    })
  })
}

/** Neither child has anything to save. May be called twice. */
async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  child.kill('SIGKILL')
  await gone
}
