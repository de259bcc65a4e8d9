/**
 * What one test file starts, and the one place that ends it: a temporary directory and the things to close, newest first.
 * `after(() => scene.close())` is the whole of a test file's cleaning up.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { openTemporaryRoot } from './temporary.ts'

export type Scene = {
  /** an empty directory of its own, gone after `close()`; others may enter it, as Dovecot's processes must */
  directory: string
  /** Registers what `close()` is to end. Things are closed in the reverse of the order in which they were started. */
  closeLater: (close: () => Promise<void> | void) => void
  /** Ends everything, whatever fails on the way, and then throws the first failure. May be called twice. */
  close: () => Promise<void>
}

/** Opens a scene in the system's temporary directory, or in `directory`, which is then kept. */
export function openScene(directory?: string): Scene {
  const kept = directory !== undefined
  const own = directory ?? mkdtempSync(join(openTemporaryRoot(), 'mailmux-test-'))
  if (!kept) chmodSync(own, 0o755) // Dovecot drops root before it reads a mailbox
  const closers: (() => Promise<void> | void)[] = []
  const remove = () => {
    if (!kept) rmSync(own, { recursive: true, force: true, maxRetries: 5 })
  }
  process.once('exit', remove) // a test file that was stopped half-way leaves no directory behind
  if (!kept) for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, exit)

  return {
    directory: own,
    closeLater: (close) => void closers.push(close),
    close: async () => {
      const failures: unknown[] = []
      for (let close = closers.pop(); close !== undefined; close = closers.pop()) {
        try {
          await close()
        } catch (error) {
          failures.push(error)
        }
      }
      process.off('exit', remove)
      for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, exit)
      remove()
      if (failures.length > 0) throw failures[0]
    },
  }
}

/** A scene within a scene: what is opened in it is closed with it, and not kept until the end of the other. */
export function openVisit({ directory }: Pick<Scene, 'directory'>): Scene {
  const closers: (() => Promise<void> | void)[] = []
  return {
    directory,
    closeLater: (close) => void closers.push(close),
    close: async () => {
      for (const close of closers) await close()
    },
  }
}

/** A signal alone would end the process without its `exit` event. */
function exit(): void {
  process.exit(1)
}
