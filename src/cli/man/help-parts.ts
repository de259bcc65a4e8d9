/** The text behind the options in the help of a command, in its parts. A test holds every command to this form. */
import type { Command } from 'commander'

export type HelpParts = {
  /** those that begin with spaces stand as they are */
  notes: string[]
  /** such as `0 done, 2 wrong usage or no answer.` */
  exitCodes: string | undefined
  examples: string[]
}

export function readHelpParts(command: Command): HelpParts {
  const parts: HelpParts = { notes: [], exitCodes: undefined, examples: [] }
  let into: 'notes' | 'exitCodes' | 'examples' = 'notes'
  for (const line of readTextBehind(command).split('\n')) {
    const exitCodes = /^Exit codes: (.*)$/u.exec(line)?.[1]
    const example = /^Examples?(?:, [^:]+)?:(.*)$/u.exec(line)?.[1]
    if (exitCodes !== undefined) {
      into = 'exitCodes'
      parts.exitCodes = exitCodes
    } else if (example !== undefined) {
      into = 'examples'
      if (example.trim() !== '') parts.examples.push(example.trim())
    } else if (line.trim() === '') continue
    else if (into === 'notes') parts.notes.push(line)
    else if (into === 'examples') parts.examples.push(line.trim())
    else parts.exitCodes = `${parts.exitCodes ?? ''} ${line.trim()}`
  }
  return parts
}

/** What the command adds to its help by `addHelpText`. */
function readTextBehind(command: Command): string {
  const output = command.configureOutput()
  let text = ''
  command.configureOutput({ ...output, writeOut: (piece) => (text += piece) })
  try {
    command.outputHelp()
  } finally {
    command.configureOutput(output)
  }
  return text.slice(command.helpInformation().length)
}
