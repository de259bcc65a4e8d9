/**
 * Writes log lines in the background. A destination that is full, slow, closed or broken delays nothing and ends nothing:
 * lines wait in a bounded buffer, and lines that do not fit are dropped and counted.
 */
import fs from 'node:fs'
import { isatty } from 'node:tty'
import sonicBoom from 'sonic-boom'

/** Where this process writes its log. */
export type LogOutput = {
  /** Takes a line with its line end. Never waits and never throws. */
  write: (line: string) => void
  /**
   * Writes to this file from now on, or with undefined to the descriptor of the start. Lines that wait go there too. Nothing changes if it
   * is the same file: see `reopen`.
   * @throws the system's error if the file cannot be opened; then nothing changes
   */
  use: (file: string | undefined) => void
  /** Opens the file in use anew, so that lines no longer go to one that was renamed. @throws as `use` does */
  reopen: () => void
  /** the file in use; undefined: the descriptor of the start */
  file: () => string | undefined
  isTerminal: () => boolean
  /** Lines that did not fit into the buffer since the start. */
  dropped: () => number
  /** Calls back once the buffer is empty again after lines were dropped, with their number. */
  onRecovered: (recovered: (lines: number) => void) => void
  /** Settles when everything is written, and after `withinMs` at the latest. */
  flush: (withinMs: number) => Promise<void>
  /** Writes what it can before it returns, for a process that ends now. May be called twice. */
  flushNow: () => void
}

/**
 * 16 MiB hold 40,000 lines: one for each session that a stop ends at once. The memory is used only while the destination is
 * slower than the log.
 */
const BUFFER_BYTES = 16 * 1024 * 1024
/** PIPE_BUF of Linux. Writes up to this size are atomic, so that lines of several workers do not mix in a pipe (pipe(7)). */
const ATOMIC_BYTES = 4096
/**
 * Lines of this time go into one write, which costs less than a write for each line. A reader of the log sees no delay of this length,
 * and a line after a quiet time is written at once.
 */
const BATCH_MS = 10
/** A disk is full, or a terminal is closed, for seconds at least. */
const RETRY_MS = 1000
/** A pipe whose reader works is empty long before. A longer wait would delay the end of a process that crashes. */
const EXIT_MS = 500

/** Log lines name users and addresses: the owner writes, the group reads. */
const FILE_MODE = 0o640
const { O_WRONLY, O_CREAT, O_APPEND, O_NONBLOCK } = fs.constants

/**
 * @param fd an open descriptor. For a pipe, socket or terminal it must be non-blocking: a write that blocks would keep the process
 * from exiting. It is not closed.
 */
export function openLogOutput(fd: number, bufferBytes = BUFFER_BYTES): LogOutput {
  let dropped = 0
  let reported = 0
  let recovered = (_lines: number): void => undefined
  let retry: NodeJS.Timeout | undefined
  let exitMs: number | undefined
  /** lines that the stream does not have yet; at most one write, so that this is no second buffer */
  let batch = { text: '', bytes: 0, lines: 0 }
  let isBatching = false
  let passedLines = 0
  /** A write in the background wakes a thread, which costs as much processor time as ten lines. */
  let isDirect = neverBlocks(fd)
  let isTerminal = isatty(fd)
  /** the stream has lines that are older than those of the batch */
  let isQueued = false
  /** more waits than a few writes take: another batch would save none of them, and would count lines late that are dropped */
  let isBehind = false
  /** descriptors of files that are no longer in use, while a write to them may be in progress */
  const retired: number[] = []
  let inUse: string | undefined
  const options = {
    fd,
    sync: false,
    minLength: 1, // with 0, `flush` does nothing
    maxLength: bufferBytes,
    maxWrite: ATOMIC_BYTES,
    retryEAGAIN: () => exitMs === undefined || performance.now() < exitMs,
  }
  // The stream reads its property `fd` at each write.
  const stream = Object.assign(new sonicBoom.SonicBoom(options), { fd })
  stream.on('drop', () => (dropped += passedLines)) // emitted during the call of `write`
  stream.on('write', closeRetired)
  stream.on('error', () => {
    closeRetired()
    // The stream keeps what it could not write. A full buffer takes no line, so that no line causes another attempt.
    retry ??= setTimeout(() => {
      retry = undefined
      stream.flush()
    }, RETRY_MS).unref()
  })
  stream.on('drain', () => {
    isBehind = isQueued = false
    if (dropped === reported) return
    const lines = dropped - reported
    reported = dropped
    recovered(lines)
  })

  function passOn(): void {
    const { text, bytes, lines } = batch
    if (lines === 0) return
    batch = { text: '', bytes: 0, lines: 0 }
    if (isDirect && !isQueued && bytes <= ATOMIC_BYTES && writeAtOnce(stream.fd, text)) return
    passedLines = lines
    isQueued = true
    isBehind = !stream.write(text)
  }

  function open(file: string | undefined): void {
    const opened = file === undefined ? fd : openFile(file)
    inUse = file
    if (stream.fd !== fd) retired.push(stream.fd)
    stream.fd = opened
    isTerminal = isatty(opened)
    isDirect = neverBlocks(opened)
    if (!isQueued) closeRetired()
  }

  /** Called while no write is in progress. Otherwise the next file with the same number could get the lines. */
  function closeRetired(): void {
    for (const old of retired.splice(0)) fs.close(old, () => undefined)
  }

  function startBatch(): void {
    isBatching = true
    setTimeout(endBatch, BATCH_MS).unref()
  }

  function endBatch(): void {
    isBatching = false
    if (batch.lines === 0) return
    passOn()
    startBatch()
  }

  return {
    write(line) {
      const bytes = Buffer.byteLength(line)
      if (batch.bytes + bytes > ATOMIC_BYTES) passOn()
      batch.text += line
      batch.bytes += bytes
      batch.lines++
      if (isBatching && !isBehind) return
      passOn()
      if (!isBatching) startBatch()
    },
    use(file) {
      if (file !== inUse) open(file)
    },
    reopen: () => open(inUse),
    file: () => inUse,
    isTerminal: () => isTerminal,
    dropped: () => dropped,
    onRecovered: (callback) => (recovered = callback),
    flush: (withinMs) =>
      new Promise((resolve) => {
        const late = setTimeout(resolve, withinMs)
        passOn()
        stream.flush(() => {
          clearTimeout(late)
          resolve()
        })
      }),
    flushNow() {
      exitMs ??= performance.now() + EXIT_MS
      passOn()
      try {
        stream.flushSync()
      } catch {
        // The destination takes nothing, and the process is about to end.
      }
    },
  }
}

/**
 * @returns whether a write returns at once, also if the destination takes nothing: for a pipe and a socket (that of journald) which is
 * non-blocking. A file is written to a disk that may hang.
 */
function neverBlocks(fd: number): boolean {
  try {
    const kind = fs.fstatSync(fd)
    if (kind.isCharacterDevice()) return !isatty(fd) // /dev/null
    if (!kind.isFIFO() && !kind.isSocket()) return false
    const flags = /^flags:\s*([0-7]+)$/m.exec(fs.readFileSync(`/proc/self/fdinfo/${fd}`, 'latin1'))?.[1]
    return (Number.parseInt(flags ?? '0', 8) & fs.constants.O_NONBLOCK) !== 0
  } catch {
    return false
  }
}

/**
 * @param text at most `ATOMIC_BYTES`, which a pipe takes whole or not at all (pipe(7)), as a Unix socket does with such a small buffer
 * @returns whether it was written; any failure is found again by the stream, which waits and counts
 */
function writeAtOnce(fd: number, text: string): boolean {
  try {
    fs.writeSync(fd, text)
    return true
  } catch {
    return false
  }
}

/** Non-blocking, so that a FIFO without a reader is an error and does not stop the process. */
function openFile(file: string): number {
  return fs.openSync(file, O_WRONLY | O_CREAT | O_APPEND | O_NONBLOCK, FILE_MODE)
}
