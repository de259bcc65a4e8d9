/** The client of `ports.ts`: connects again and again, or slowly, and tells by whom it was greeted and what was lost. */
import { connect } from 'node:net'

export type PortsOrder =
  | { kind: 'load'; port: number; ms: number; atOnce: number }
  | { kind: 'slow'; port: number; count: number; everyMs: number }

/** How each connection ended: `greeted 0`, `reset`, `refused`, `silent`; the count of each, and the longest wait for a greeting. */
export type PortsTold = { endings: Record<string, number>; longestMs: number }

const SILENT_MS = 5000

function visit(port: number): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    const timer = setTimeout(() => end('silent'), SILENT_MS)
    const end = (how: string): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(how)
    }
    socket.once('data', (text) => end(`greeted ${text.toString().trim()}`))
    socket.once('end', () => end('closed'))
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code === 'ECONNREFUSED' ? 'refused' : 'reset'))
  })
}

async function carryOut(order: PortsOrder): Promise<PortsTold> {
  const told: PortsTold = { endings: {}, longestMs: 0 }
  const once = async (): Promise<void> => {
    const started = performance.now()
    const how = await visit(order.port)
    told.endings[how] = (told.endings[how] ?? 0) + 1
    told.longestMs = Math.max(told.longestMs, performance.now() - started)
  }
  if (order.kind === 'slow') {
    for (let count = 0; count < order.count; count++) {
      await once()
      await new Promise((resolve) => setTimeout(resolve, order.everyMs))
    }
    return told
  }
  const end = performance.now() + order.ms
  const repeat = async (): Promise<void> => {
    while (performance.now() < end) await once()
  }
  await Promise.all(Array.from({ length: order.atOnce }, repeat))
  return told
}

process.on('message', (order: PortsOrder) => {
  void carryOut(order).then((told) => process.send?.({ ok: true, ...told }))
})
process.send?.({ ok: true })
