/** A watcher under test: it writes down what it tells, and every wait on it has a deadline. */
import fs from 'node:fs'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { watchFiles } from '../../../src/config/watch.ts'
import { temporaryDirectory } from './fixture.ts'

export type Watched = {
  /** what the files held each time that a change was told, in order */
  told: string[]
  /** resolves with the next content that is told */
  nextChange: () => Promise<string>
  /** resolves when the watcher has next looked at the files, whatever it found */
  nextLook: () => Promise<void>
  errors: unknown[]
  close: () => void
}

/** A watcher of these files that writes down what it tells. Every wait has a deadline. */
export function watch(t: TestContext, files: () => string[], onChange: () => void | Promise<void> = () => {}): Watched {
  const told: string[] = []
  const errors: unknown[] = []
  let changed: (() => void) | undefined
  let looked: (() => void) | undefined
  const watcher = watchFiles(
    () => {
      looked?.()
      return files()
    },
    () => {
      told.push(files().map(read).join('|'))
      changed?.()
      return onChange()
    },
    { debounceMs: 10, settleMs: () => 10, onError: (error) => errors.push(error) },
  )
  t.after(() => watcher.close())
  const within = (what: string, arm: (done: () => void) => void): Promise<void> =>
    new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no ${what}; told so far: ${told.join()}`)), 5000)
      arm(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  return {
    told,
    errors,
    nextChange: async () => {
      await within('change', (done) => (changed = done))
      return told.at(-1) ?? ''
    },
    nextLook: () => within('look', (done) => (looked = done)),
    close: () => watcher.close(),
  }
}

function read(file: string): string {
  return fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : 'absent'
}

export function replace(file: string, text: string): void {
  fs.writeFileSync(`${file}.new`, text)
  fs.renameSync(`${file}.new`, file)
}

/** A file that holds `one`, in a directory of its own. */
export function oneFile(t: TestContext): string {
  const file = path.join(temporaryDirectory(t), 'mailmux.yaml')
  fs.writeFileSync(file, 'one')
  return file
}
