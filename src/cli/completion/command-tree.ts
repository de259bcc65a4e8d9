/** The tree of commands as plain data, for shell completion and man pages. Hidden commands and options are left out. */
import type { Argument, Command, Option } from 'commander'

/** What can stand for an argument, or behind an option. `text`: nothing that could be listed. */
export type Value = { kind: 'backend' | 'file' | 'directory' | 'text' } | { kind: 'choice'; choices: readonly string[] }

export type CommandOption = {
  /** as in the help, such as `-c, --config <file>` */
  flags: string
  /** those with their dashes, such as `-c` and `--config` */
  names: string[]
  description: string
  /** undefined: the option takes none */
  value: Value | undefined
}

export type CommandArgument = { name: string; isRequired: boolean; description: string; value: Value }

export type CommandNode = {
  /** with the names of the commands that it belongs to, such as `mailmux backend drain` */
  path: string
  name: string
  description: string
  options: CommandOption[]
  arguments: CommandArgument[]
  commands: CommandNode[]
}

export function readCommandTree(command: Command, parent?: string): CommandNode {
  const help = command.createHelp()
  const path = parent === undefined ? command.name() : `${parent} ${command.name()}`
  return {
    path,
    name: command.name(),
    description: command.description(),
    options: help.visibleOptions(command).map(readOption),
    arguments: command.registeredArguments.map(readArgument),
    commands: command.commands.filter((one) => isVisible(command, one)).map((one) => readCommandTree(one, path)),
  }
}

/** `help` is left out too, which commander adds to each command that has others: `--help` is in the list of options. */
function isVisible(command: Command, one: Command): boolean {
  return one.name() !== 'help' && command.createHelp().visibleCommands(command).includes(one)
}

/** The tree as a list, each command before those that belong to it. */
export function flatten(node: CommandNode): CommandNode[] {
  return [node, ...node.commands.flatMap(flatten)]
}

function readOption(option: Option): CommandOption {
  const { flags, description, short, long, required, optional, argChoices } = option
  const placeholder = /[<[](?<name>[\w-]+)/u.exec(flags)?.groups?.name ?? ''
  return {
    flags,
    names: [short, long].filter((name) => name !== undefined),
    description,
    value: required || optional ? valueOf(placeholder, argChoices) : undefined,
  }
}

function readArgument(argument: Argument): CommandArgument {
  const { description, required, argChoices } = argument
  return {
    name: argument.name(),
    isRequired: required,
    description,
    value: valueOf(argument.name(), argChoices),
  }
}

/** The name of a placeholder says what can stand for it. */
function valueOf(placeholder: string, choices: readonly string[] | undefined): Value {
  if (choices) return { kind: 'choice', choices }
  if (placeholder === 'backend' || placeholder === 'file' || placeholder === 'directory') return { kind: placeholder }
  return { kind: 'text' }
}
