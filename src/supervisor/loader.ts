/**
 * Loads the configuration in a separate process, which ends afterwards. This process continues to serve meanwhile, and the memory of the
 * reading returns to the system. 100,000 users take a second and 100 MiB.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import type { LoadResult } from '../config/load.ts'
import { isShortage, MuxError, systemCode } from '../errors.ts'
import type { LoadMessage, LoadOrder } from './serve-load.ts'
import { unpack } from './packed.ts'
import { createTableReader } from './table-stream.ts'
import type { WorkerProgram } from './worker.ts'

export type Loader = {
  /** Starts the process for the first `load` in advance, so that its modules are loaded by then. Call it once. */
  prepare(): void
  /**
   * One load at a time.
   * @param mainFile path of mailmux.yaml
   * @throws MuxError `local-shortage` if files cannot be read, or no process can be started, because descriptors or memory are missing
   */
  load(mainFile: string): Promise<LoadResult>
  /** Ends a load in progress; its promise rejects. May be called twice. */
  close(): void
}

/** @param program started for each load; it calls `serveLoad` with the order that it receives */
export function createLoader(program: WorkerProgram): Loader {
  let prepared: ChildProcess | undefined
  let loading: ChildProcess | undefined

  function start(): ChildProcess {
    let child: ChildProcess
    try {
      child = spawn(program.command, program.args, {
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        serialization: 'advanced', // preserves Maps, octets and undefined
      })
    } catch (error) {
      // Node reports some system errors by an event and throws the others.
      throw describeError(error)
    }
    child.stderr?.setEncoding('utf8').on('data', program.printError)
    child.on('error', () => undefined) // each load adds a listener of its own
    return child
  }

  return {
    prepare() {
      try {
        prepared = start()
      } catch {
        // `load` tries again and reports the cause.
      }
    },
    async load(mainFile) {
      // The prepared process may have failed to start, or may have ended since.
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
    // On 'close' all output has been read, and the memory of the process is free.
    child.on('close', (code, signal) => (last ? resolve(last) : reject(describeEnd(code, signal))))
    // If it is not connected, the process has ended, and 'close' reports that.
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

/** Without memory, the kernel ends a process by SIGKILL, and V8 by SIGABRT. */
function describeEnd(code: number | null, signal: NodeJS.Signals | null): Error {
  const what = `the process that reads the configuration has ended: ${signal ?? `exit code ${code ?? 'unknown'}`}`
  return signal === 'SIGKILL' || signal === 'SIGABRT' ? new MuxError('local-shortage', what) : new Error(what)
}
