/** Starts the process of a worker, with what it inherits; and what the worker does about that when it begins. */
import { spawn, type ChildProcess, type StdioOptions } from 'node:child_process'
import type { BoundPort } from '../listener/bound-ports.ts'
import { BINDS_BY_CLUSTER } from '../runtime.ts'
import type { WorkerProgram } from './worker-interface.ts'

/** The standard output of this process, which receives the log. */
const STDOUT = 1

/** `advanced` preserves Maps and undefined. */
const SERIALIZATION = 'advanced'

/** @throws Error of the system, of those that Node does not report by an event */
export function startWorkerProcess(program: WorkerProgram, ports: readonly BoundPort[]): ChildProcess {
  const { command, options = [], args } = program
  const descriptors = ports.flatMap(({ descriptor }) => descriptor ?? [])
  const stdio: StdioOptions = ['ignore', 'ignore', 'pipe', 'ipc', STDOUT, ...descriptors] // as LOG_DESCRIPTOR and FIRST_INHERITED say
  if (!BINDS_BY_CLUSTER) return spawn(command, [...options, ...args], { stdio, serialization: SERIALIZATION })
  const cluster = process.getBuiltinModule('node:cluster')
  const [exec = '', ...words] = args
  cluster.schedulingPolicy = cluster.SCHED_NONE // all accept from one socket, and the primary never does
  cluster.setupPrimary({ exec, args: words, execArgv: [...options], stdio, serialization: SERIALIZATION })
  const worker = cluster.fork()
  worker.on('error', () => undefined) // its process reports it too
  return worker.process
}

/**
 * The worker's own side: without this, `node:cluster` ends it together with the supervisor, and its sessions without a goodbye. Must be called
 * when the process listens to messages: the module reads the channel from its import on, and Bun loses what nothing listens to.
 */
export function outliveSupervisor(): void {
  if (!BINDS_BY_CLUSTER) return
  const cluster = process.getBuiltinModule('node:cluster')
  if (cluster.worker) cluster.worker.exitedAfterDisconnect = true
}
