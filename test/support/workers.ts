/** The workers of a running mailmux, as a test needs to know them: which processes they are, who is in which, and when all serve again. */
import { sessionsAnswer, type SessionsAnswer } from '../../src/admin/answers.ts'
import { START_DEADLINE_MS, until } from './deadline.ts'
import type { Mailmux } from './mailmux.ts'
import { signalAll } from './process-tree.ts'

export type Workers = {
  /** the process of a worker, by its number from 1 */
  pid: (worker: number) => number
  signal: (signal: NodeJS.Signals, ...workers: number[]) => void
  sessions: (query?: string) => Promise<SessionsAnswer>
  /** how many workers are in this state, as the metrics tell */
  count: (state: string) => Promise<number>
  allServe: () => Promise<void>
  /** the lines with this sentence */
  lines: (msg: string) => Record<string, unknown>[]
}

export function watchWorkers(mailmux: Mailmux, workers: number): Workers {
  const lines = (msg: string) => mailmux.log().filter((line) => line.msg === msg)
  const pid = (worker: number): number =>
    Number(lines('worker serves').findLast((line) => line.worker === worker)?.pid ?? 0)
  const count = async (state: string) => (await mailmux.metric(`mailmux_workers{state="${state}"}`)) ?? 0
  return {
    pid,
    signal: (signal, ...numbers) =>
      signalAll(
        numbers.map((number) => String(pid(number))),
        signal,
      ),
    async sessions(query = '') {
      const response = await fetch(`http://127.0.0.1:${mailmux.ports.admin}/api/v1/sessions${query}`)
      return sessionsAnswer.parse(await response.json())
    },
    count,
    async allServe() {
      await until(
        START_DEADLINE_MS * 2, // several starts on two cores
        async () => (await count('up')) === workers || undefined,
        () => `not all workers serve\n${mailmux.program.stdout().slice(-3000)}${mailmux.program.stderr()}`,
      )
    },
    lines,
  }
}
