/** The series of logins that wait for a slot at a back end. */
import { Counter, Histogram, type Registry } from 'prom-client'

/** A login has waited. @param limit that was reached @param outcome how the wait ended */
export type NoteLoginWait = (backend: string, limit: string, outcome: string, ms: number) => void

export function createLoginWaits(registry: Registry): NoteLoginWait {
  const registers = [registry]
  const waits = new Counter({
    name: 'mailmux_login_waits_total',
    help: 'Logins that had to wait for their turn at a back end, by the limit that was reached and how the wait ended.',
    labelNames: ['backend', 'limit', 'outcome'],
    registers,
  })
  const waitSeconds = new Histogram({
    name: 'mailmux_login_wait_seconds',
    help: 'How long logins waited for their turn at a back end, of those that had to.',
    labelNames: ['backend'],
    buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
    registers,
  })
  return (backend, limit, outcome, ms) => {
    waits.inc({ backend, limit, outcome })
    if (outcome !== 'queue-full') waitSeconds.observe({ backend }, ms / 1000)
  }
}
