/**
 * Loaded before a program on Node: counts what it allocates. Whoever connects to the socket of its process gets all counts in JSON; those of
 * function calls and closures since the last time. The socket's folder stands in the query of this module's URL.
 */
import { createHook } from 'node:async_hooks'
import { Session } from 'node:inspector'
import { createServer } from 'node:net'
import { join } from 'node:path'

/** V8 gives no count of closures: each call makes at most one of each function that stands in the called one. */
export type Counts = Record<string, number>

const counts: Counts = {}
const count = (what: string): void => void (counts[what] = (counts[what] ?? 0) + 1)

const KINDS: Record<string, string> = { PROMISE: 'promises', Timeout: 'timers', Immediate: 'immediates' }
createHook({
  init: (_, type) => count(KINDS[type] ?? (type === 'TickObject' ? 'ticks' : 'handles and requests')),
}).enable()

for (const name of ['alloc', 'allocUnsafe', 'allocUnsafeSlow', 'from', 'concat'] as const) {
  const make: (...args: unknown[]) => Buffer = Buffer[name].bind(Buffer) as never
  Object.assign(Buffer, {
    [name]: (...args: unknown[]) => {
      count('Buffers by JavaScript')
      return make(...args)
    },
  })
}

type Range = { startOffset: number; endOffset: number; count: number }
type Coverage = { result: { functions: { ranges: Range[] }[] }[] }

const session = new Session()
session.connect()
session.post('Profiler.enable')
session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })

/** The callback of an inspector of the same thread is called at once. */
function countCalls(): Counts {
  const found = { 'function calls': 0, 'closures, at most': 0 }
  session.post('Profiler.takePreciseCoverage', (_, answer) => {
    for (const { functions } of (answer as Coverage).result) {
      const around: Range[] = []
      for (const { ranges } of functions) {
        const [range] = ranges
        if (range === undefined) continue
        while (around.length > 0 && around.at(-1)!.endOffset <= range.startOffset) around.pop()
        found['function calls'] += range.count
        found['closures, at most'] += around.at(-1)?.count ?? 0
        around.push(range)
      }
    }
  })
  return found
}

const folder = new URL(import.meta.url).searchParams.get('folder')!
createServer((socket) => {
  socket.on('error', () => undefined)
  socket.end(JSON.stringify({ ...counts, ...countCalls() }))
})
  .listen(join(folder, `${process.pid}.counts`))
  .unref()
