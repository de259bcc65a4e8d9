/** What the arguments of a command are built with: the process belongs to main.ts. */
import type { Option } from 'commander'
import type { Terminal } from './ask-running.ts'

export type CommandParts = {
  configOption: () => Option
  terminal: Terminal
  /** called after the help, and after the error of wrong usage */
  exitAsUsage: (end: { exitCode: number }) => never
  /** takes the exit code of the command */
  exitWith: (code: number) => void
}
