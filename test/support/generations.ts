/** The generations of a mailmux that is upgraded while it runs: which processes they are, and the end of all of them. */
import { START_DEADLINE_MS } from './deadline.ts'
import { MAIN } from './command.ts'
import type { Mailmux } from './mailmux.ts'
import { isRunning, listProcesses, signalAll, waitUntilEnded } from './process-tree.ts'
import { run, type RunResult } from './run.ts'
import { MAILMUX_RUNTIME } from './runtime.ts'
import type { Scene } from './scene.ts'

export type Generations = {
  /** the process of the newest one that has served */
  pid: () => number
  /** `mailmux upgrade` with these options */
  upgrade: (...options: string[]) => Promise<RunResult>
  /** Waits until this many of all generations, the first included, have ended in order. */
  ended: (count: number) => Promise<void>
  /** SIGTERM to the newest one; settles when all generations have ended. */
  stop: () => Promise<void>
}

/** A generation leaves the group of processes of the one before it, so that the scene has to end it by itself. */
export function watchGenerations(scene: Scene, mailmux: Mailmux): Generations {
  const pids = (): number[] => [
    mailmux.pid,
    ...mailmux
      .log()
      .filter(({ msg }) => msg === 'upgraded: the new version serves')
      .map(({ pid }) => Number(pid)),
  ]
  const pid = (): number => pids().at(-1) ?? 0
  scene.closeLater(async () => {
    const all = pids().flatMap((root) => (isRunning(String(root)) ? listProcesses(root) : []))
    signalAll(all, 'SIGKILL')
    await waitUntilEnded(all)
  })
  return {
    pid,
    upgrade: (...options) =>
      run(MAILMUX_RUNTIME, [MAIN, 'upgrade', '-c', mailmux.configFile, ...options], { ms: 4 * START_DEADLINE_MS }),
    async ended(count) {
      await mailmux.waitForLog(
        ({ msg }) => msg === 'stopped' && mailmux.log().filter((line) => line.msg === 'stopped').length >= count,
        `${count} generations that have stopped`,
      )
    },
    async stop() {
      signalAll([String(pid())], 'SIGTERM')
      await waitUntilEnded(pids().map(String))
    },
  }
}
