/** Stands for a worker: does at each start what its arguments say in turn, the last of them again and again. The first argument is where it counts. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import type { ToSupervisor, ToWorker } from '../../src/supervisor/messages.ts'

const [file = '', ...plans] = process.argv.slice(2)
const starts = existsSync(file) ? Number(readFileSync(file, 'utf8')) : 0
writeFileSync(file, String(starts + 1))
const plan = plans[Math.min(starts, plans.length - 1)] ?? ''
const say = (message: ToSupervisor, then?: () => void): void => {
  process.send?.(message, undefined, {}, () => then?.())
}

process.on('message', (message: ToWorker) => {
  if (message.kind === 'start') {
    if (plan === 'fail') say({ kind: 'failed', why: 'no such thing' }, () => process.exit(1))
    else if (plan === 'crash') process.exit(7)
    else say({ kind: 'ready' })
  }
  if (message.kind === 'ask' && plan === 'full' && message.ask.what === 'configure')
    say({ kind: 'no-answer', id: message.id, why: 'no memory' })
  else if (message.kind === 'ask' && plan !== 'deaf') say({ kind: 'answer', id: message.id, answer: message.ask.what })
  if (message.kind === 'stop' && plan !== 'deaf') process.exit(0)
})
process.on('disconnect', () => process.exit(0))
