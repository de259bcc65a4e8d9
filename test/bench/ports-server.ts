/** The servers of `ports.ts`: a primary with its workers, in each of the ways to share a port. A worker works a little, and greets by its number. */
import { type ChildProcess, spawn } from 'node:child_process'
import cluster from 'node:cluster'
import { BoundSocket, createServer, type ListenOptions } from 'node:net'

export const WAYS = ['one-process', 'shared', 'slots', 'reuse-port', 'cluster'] as const
export type Way = (typeof WAYS)[number]

export type PortsReady = { port: number; pids: number[] }

const HOST = '127.0.0.1'
const BACKLOG = 4096
/** About what a connection costs before its login where it resumes TLS. */
const WORK_MS = 0.3
/** The first of the inherited descriptors behind stdin, stdout, stderr and the channel. */
const INHERITED = 4

function serve(number: number, where: ListenOptions & { fd?: number }): void {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => undefined)
    for (const end = performance.now() + WORK_MS; performance.now() < end;);
    socket.end(`${number}\n`)
    socket.resume()
  })
  server.listen({ ...where, backlog: BACKLOG }, () => process.send?.('listening', () => undefined))
}

/** Starts a worker, and another in its place when it ends. */
function keepUp(start: () => ChildProcess, slot: number, pids: number[]): Promise<void> {
  return new Promise((resolve) => {
    const again = (): void => {
      const child = start()
      pids[slot] = child.pid ?? 0
      child.on('message', () => resolve())
      child.on('exit', again)
    }
    again()
  })
}

async function startPrimary(way: Way, port: number, workers: number): Promise<void> {
  const pids: number[] = []
  if (way === 'one-process') {
    serve(0, { host: HOST, port })
    pids.push(process.pid)
  } else {
    const one = way === 'shared' ? new BoundSocket({ host: HOST, port }) : undefined
    const sockets = Array.from({ length: workers }, () => {
      if (way === 'slots') return new BoundSocket({ host: HOST, port, reusePort: true })
      return one
    })
    const startWorker = (slot: number) => (): ChildProcess => {
      const args = [import.meta.filename, 'worker', way, String(port), String(slot)]
      if (way === 'cluster') {
        cluster.setupPrimary({ exec: import.meta.filename, args: args.slice(1) })
        return cluster.fork().process
      }
      const descriptor = sockets[slot]?.fd()
      return spawn(process.execPath, args, {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc', ...(descriptor === undefined ? [] : [descriptor])],
      })
    }
    await Promise.all(sockets.map((_, slot) => keepUp(startWorker(slot), slot, pids)))
  }
  process.on('message', () => process.send?.({ ok: true, port, pids }))
  process.send?.({ ok: true, port, pids })
  process.once('disconnect', () => process.exit())
}

function startWorker(way: Way, port: number, slot: number): void {
  process.once('disconnect', () => process.exit())
  const isInherited = way === 'shared' || way === 'slots'
  serve(slot, isInherited ? { fd: INHERITED } : { host: HOST, port, reusePort: way === 'reuse-port' })
}

const [role, way, port, rest] = process.argv.slice(2) as [string, Way, string, string]
if (role === 'primary') await startPrimary(way, Number(port), Number(rest))
if (role === 'worker') startWorker(way, Number(port), Number(rest))
