/**
 * Loads the configuration in a process of its own, which ends afterwards: this one goes on serving, and the memory that the reading takes
 * goes back to the system. 100,000 users take a second, and 100 MiB.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import type { LoadResult } from '../config/load.ts'
import { isShortage, MuxError, systemCode } from '../errors.ts'
import type { LoadMessage, LoadOrder } from './serve-load.ts'
import { unpack } from './packed.ts'
import { createTableReader } from './table-stream.ts'
import type { WorkerProgram } from './worker.ts'

export type Loader = {
  /** Starts the process for the first `load`, so that its modules are there when the order comes. To be called once. */
  prepare(): void
  /**
   * One load at a time.
   * @param mainFile path of mailmux.yaml
   * @throws MuxError `local-shortage` where files cannot be read, or no process be started, for want of a descriptor or memory
   */
  load(mainFile: string): Promise<LoadResult>
  /** Ends what is being loaded, whose promise then rejects. May be called twice. */
  close(): void
}

/** @param program started for each load; it calls `serveLoad` with the order that it is sent */
export function createLoader(program: WorkerProgram): Loader {
  let prepared: ChildProcess | undefined
  let loading: ChildProcess | undefined

  function start(): ChildProcess {
    let child: ChildProcess
    try {
      child = spawn(program.command, program.args, {
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        serialization: 'advanced', // Maps, octets and undefined are what they were
      })
    } catch (error) {
      // Node reports some errors of the system by an event, and throws the others.
      throw describeError(error)
    }
    child.stderr?.setEncoding('utf8').on('data', program.printError)
    child.on('error', () => undefined) // a load that uses it has a listener of its own
    return child
  }

  return {
    prepare() {
      try {
        prepared = start()
      } catch {
        // `load` tries again, and tells the cause.
      }
    },
    async load(mainFile) {
      // One that could not be started, or has ended while it waited, is of no use.
      const child = prepared?.connected === true ? prepared : start()
      prepared = undefined
      loading = child
      return receive(child, { mainFile })
    },
    close() {
      for (const child of [prepared, loading]) child?.kill('SIGKILL')
    },
  }
}

async function receive(child: ChildProcess, order: LoadOrder): Promise<LoadResult> {
  const users = createTableReader()
  const told = await new Promise<LoadMessage>((resolve, reject) => {
    let last: LoadMessage | undefined
    child.stdout?.on('data', users.accept)
    child.on('message', (message) => (last = message as LoadMessage))
    child.on('error', (error) => reject(describeError(error)))
    // All that it has written is here, and what has loaded finds the memory of that process free.
    child.on('close', (code, signal) => (last ? resolve(last) : reject(describeEnd(code, signal))))
    // Where it cannot be heard, the process has ended, which is told.
    if (child.connected) child.send(order, () => undefined)
  })
  if ('shortage' in told) throw new MuxError('local-shortage', told.shortage)
  return unpack(told.result, users.table())
}

function describeError(error: unknown): Error {
  const code = systemCode(error)
  // EAGAIN: the limit of processes.
  if (isShortage(code) || code === 'EAGAIN')
    return new MuxError('local-shortage', `no process to read the configuration: ${code}`, error)
  return new Error('no process to read the configuration', { cause: error })
}

/** SIGKILL is how the kernel ends a process for want of memory, and SIGABRT how V8 does. */
function describeEnd(code: number | null, signal: NodeJS.Signals | null): Error {
  const what = `the process that reads the configuration has ended: ${signal ?? `exit code ${code ?? 'unknown'}`}`
  return signal === 'SIGKILL' || signal === 'SIGABRT' ? new MuxError('local-shortage', what) : new Error(what)
}
