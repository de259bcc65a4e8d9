/** The program for tests that run it as another user, who cannot enter a checkout in a private folder. */
import { chmodSync, copyFileSync, cpSync, mkdtempSync, rmSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { MAIN } from './command.ts'
import { MAILMUX_RUNTIME } from './runtime.ts'
import { mayEveryoneEnter, openTemporaryRoot } from './temporary.ts'

export type RunnableProgram = { runtime: string; main: string; remove: () => void }

/** @returns the program of the checkout, or a copy of it where not every user may read that; `remove` removes the copy */
export function openProgram(): RunnableProgram {
  const isOpen = mayEveryoneEnter(dirname(MAIN)) && mayEveryoneEnter(dirname(MAILMUX_RUNTIME))
  return isOpen ? { runtime: MAILMUX_RUNTIME, main: MAIN, remove: () => undefined } : copyProgram()
}

export function copyProgram(): RunnableProgram {
  const checkout = join(dirname(MAIN), '..')
  const copy = mkdtempSync(join(openTemporaryRoot(), 'mailmux-program-'))
  chmodSync(copy, 0o755)
  for (const part of ['src', 'node_modules', 'package.json'])
    cpSync(join(checkout, part), join(copy, part), { recursive: true, verbatimSymlinks: true })
  const runtime = join(copy, basename(MAILMUX_RUNTIME))
  copyFileSync(MAILMUX_RUNTIME, runtime)
  return { runtime, main: join(copy, 'src/main.ts'), remove: () => rmSync(copy, { recursive: true, force: true }) }
}
