/**
 * Loads the configuration in a separate process, which ends afterwards. This process continues to serve meanwhile, and the memory of the
 * reading returns to the system. 100,000 users take a second and up to 280 MiB (docs/scale.md).
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { Readable } from 'node:stream'
import type { LoadResult } from '../config/load.ts'
import { isShortage, MuxError, systemCode } from '../errors.ts'
import { version } from '../version.ts'
import { TABLE_DESCRIPTOR, type LoadMessage, type LoadOrder } from './serve-load.ts'
import { unpack } from './packed.ts'
import { createTableReader } from './table-stream.ts'
import type { WorkerProgram } from './worker-interface.ts'

/**
 * A million users take 16 s, and the largest file about a minute of a processor, of which a busy machine may give a tenth. A process that
 * needs longer hangs or is stopped. Without a deadline no later change would take effect, and no log line would say so.
 */
const DEADLINE_MS = 1_800_000

export type Loader = {
  /** Starts the process for the first `load` in advance, so that its modules are loaded by then. Call it once. */
  prepare(): void
  /**
   * One load at a time.
   * @param mainFile path of mailmux.yaml
   * @throws MuxError `local-shortage` if files cannot be read, or no process can be started, because descriptors or memory are missing
   * @throws Error if the process fails in another way; the files are not the cause
   */
  load(mainFile: string): Promise<LoadResult>
  /** Ends a load in progress; its promise rejects. May be called twice. */
  close(): void
}

/**
 * @param program started for each load; it calls `serveLoad` with the order that it receives
 * @param deadlineMs for tests
 */
export function createLoader(program: WorkerProgram, deadlineMs = DEADLINE_MS): Loader {
  let prepared: ChildProcess | undefined
  let loading: ChildProcess | undefined

  function start(): ChildProcess {
    let child: ChildProcess
    try {
      child = spawn(program.command, [...(program.options ?? []), ...program.args], {
        // As TABLE_DESCRIPTOR says. Its standard output may get lines of a module that NODE_OPTIONS preloads.
        stdio: ['ignore', 'ignore', 'pipe', 'ipc', 'pipe'],
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
      // The prepared process may have failed to start (it has no id), or may have ended since.
      const child = prepared?.pid !== undefined && prepared.connected ? prepared : start()
      prepared = undefined
      loading = child
      return receive(child, { mainFile, version }, deadlineMs)
    },
    close() {
      for (const child of [prepared, loading]) child?.kill('SIGKILL')
    },
  }
}

async function receive(child: ChildProcess, order: LoadOrder, deadlineMs: number): Promise<LoadResult> {
  const users = createTableReader()
  const received = Promise.withResolvers<LoadMessage>()
  let last: LoadMessage | undefined
  /** The first failure counts. */
  function fail(error: Error): void {
    received.reject(error)
    child.kill('SIGKILL')
  }
  const late = setTimeout(() => {
    const what = `the process that reads the configuration has not ended within ${deadlineMs / 1000} s`
    fail(new MuxError('local-shortage', what))
  }, deadlineMs)
  readTable(child, users.accept, fail)
  child.on('message', (message) => (last = message as LoadMessage))
  child.on('error', (error) => received.reject(describeError(error)))
  // On 'close' all output has been read, and the memory of the process is free.
  child.on('close', (code, signal) => (last ? received.resolve(last) : received.reject(describeEnd(code, signal))))
  // If it is not connected, the process has ended, and 'close' reports that.
  if (child.connected) child.send(order, () => undefined)
  const told = await received.promise.finally(() => clearTimeout(late))
  if ('shortage' in told) throw new MuxError('local-shortage', told.shortage)
  if ('otherVersion' in told)
    throw new Error(`mailmux ${told.otherVersion} is installed, and this process is mailmux ${version}: restart it`)
  return unpack(told.result, users.table())
}

/** @param stdio undefined if no process could be started. @param fail called for an error, which must not end this process */
function readTable(
  { stdio }: { stdio?: ChildProcess['stdio'] },
  accept: (octets: Uint8Array) => void,
  fail: (error: Error) => void,
): void {
  const stream = stdio?.[TABLE_DESCRIPTOR]
  if (!(stream instanceof Readable)) return
  const broken = (error: unknown): void => fail(describeBroken(error))
  stream.on('error', broken).on('data', (octets: Uint8Array) => {
    try {
      accept(octets)
    } catch (error) {
      broken(error)
    }
  })
}

function describeBroken(error: unknown): Error {
  const what = `the table of users cannot be received: ${systemCode(error)}`
  return isShortage(error) ? new MuxError('local-shortage', what, error) : new Error(what, { cause: error })
}

function describeError(error: unknown): Error {
  const code = systemCode(error)
  // EAGAIN: the limit of processes.
  if (isShortage(code) || code === 'EAGAIN')
    return new MuxError('local-shortage', `no process to read the configuration: ${code}`, error)
  return new Error(`no process to read the configuration: ${code}`, { cause: error })
}

/** Without memory, the kernel ends a process by SIGKILL, and V8 by SIGABRT or by an instruction that traps. */
const WITHOUT_MEMORY = new Set<NodeJS.Signals | null>(['SIGKILL', 'SIGABRT', 'SIGTRAP', 'SIGILL'])

function describeEnd(code: number | null, signal: NodeJS.Signals | null): Error {
  const what = `the process that reads the configuration has ended: ${signal ?? `exit code ${code ?? 'unknown'}`}`
  return WITHOUT_MEMORY.has(signal) ? new MuxError('local-shortage', what) : new Error(what)
}
