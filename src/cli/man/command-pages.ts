/** mailmux(1), and a page for each of its commands. */
import type { Command } from 'commander'
import { listProtocols } from '../../protocol/registry.ts'
import { readCommandTree, type CommandNode } from '../completion/command-tree.ts'
import { readHelpParts } from './help-parts.ts'
import { bold, formatFlags, item, paragraph, placeholder, verbatim, type Page } from './roff.ts'

type Edition = Pick<Page, 'date' | 'version'>

export function commandPages(program: Command, edition: Edition): Page[] {
  const root = readCommandTree(program)
  const nameOf = ({ path }: CommandNode): string => path.replaceAll(' ', '-')
  const lower = (text: string): string => text.replace(/\.$/u, '')
  const own: Page = {
    ...edition,
    name: root.name,
    section: 1,
    summary: `${listProtocols('and', ({ title }) => title)} proxy in front of many mail servers`,
    parts: [
      { heading: 'SYNOPSIS', lines: [`${bold(root.name)} ${placeholder('<command>')} [...]`] },
      { heading: 'DESCRIPTION', lines: paragraph(root.description) },
      { heading: 'OPTIONS', lines: optionLines(root) },
      {
        heading: 'COMMANDS',
        lines: root.commands.flatMap((command) => item(`${bold(nameOf(command))}(1)`, command.description)),
      },
      {
        heading: 'FILES',
        lines: [
          ...item(bold('/etc/mailmux/mailmux.yaml'), 'The configuration: see mailmux.yaml(5).'),
          ...item(bold('/etc/mailmux/routing.yaml'), 'Back ends, and routes of users: see routing.yaml(5).'),
        ],
      },
    ],
  }
  const pages = root.commands.map((command): Page => ({
    ...edition,
    name: nameOf(command),
    section: 1,
    summary: lower(command.description),
    parts: [
      ...partsOf(program, command),
      { heading: 'SEE ALSO', lines: [`${bold(root.name)}(1), ${bold('mailmux.yaml')}(5), ${bold('routing.yaml')}(5)`] },
    ],
  }))
  return [own, ...pages]
}

function partsOf(program: Command, node: CommandNode): Page['parts'] {
  const { notes, exitCodes, examples } = readHelpParts(find(program, node))
  return [
    { heading: 'SYNOPSIS', lines: synopsisLines(node) },
    { heading: 'DESCRIPTION', lines: [...paragraph(sentence(node.description)), ...noteLines(notes)] },
    { heading: 'OPTIONS', lines: [...argumentLines(node), ...optionLines(node)] },
    { heading: 'COMMANDS', lines: node.commands.flatMap((command) => subcommandLines(program, command)) },
    { heading: 'EXIT STATUS', lines: exitLines(exitCodes) },
    { heading: 'EXAMPLES', lines: examples.length > 0 ? verbatim(examples) : [] },
  ]
}

/** A command of a command has no page of its own. */
function subcommandLines(program: Command, node: CommandNode): string[] {
  const { notes, exitCodes, examples } = readHelpParts(find(program, node))
  return [
    `.SS ${node.path}`,
    synopsis(node),
    ...paragraph(sentence(node.description)),
    ...noteLines(notes),
    ...argumentLines(node),
    ...optionLines(node),
    ...(exitCodes === undefined ? [] : paragraph(`Exit status: ${exitCodes}`)),
    ...(examples.length > 0 ? verbatim(examples) : []),
  ]
}

/** @throws Error if the tree and the program differ */
function find(program: Command, { path }: CommandNode): Command {
  let found = program
  for (const name of path.split(' ').slice(1)) {
    const next = found.commands.find((one) => one.name() === name)
    if (!next) throw new Error(`no command ${path}`)
    found = next
  }
  return found
}

function synopsisLines(node: CommandNode): string[] {
  // A command whose work is done by others has no options but --help.
  const isUsed = node.commands.length === 0 || node.options.length > 1
  const lines = [...(isUsed ? [synopsis(node)] : []), ...node.commands.map(synopsis)]
  return lines.flatMap((line, index) => (index === 0 ? [line] : ['.br', line]))
}

function synopsis({ path, arguments: named, commands }: CommandNode): string {
  const written = named.map(({ name, isRequired }) => placeholder(isRequired ? `<${name}>` : '['.concat(name, ']')))
  return [bold(path), ...(commands.length > 0 ? [] : ['[options]']), ...written].join(' ')
}

function argumentLines({ arguments: named }: CommandNode): string[] {
  return named.flatMap(({ name, description, value }) =>
    item(placeholder(`<${name}>`), sentence(withChoices(description, value))),
  )
}

function optionLines({ options }: CommandNode): string[] {
  return options.flatMap(({ flags, description, value }) =>
    item(formatFlags(flags), sentence(withChoices(description, value))),
  )
}

function withChoices(description: string, value: CommandNode['options'][number]['value']): string {
  return value?.kind === 'choice' ? `${description}; one of ${value.choices.join(', ')}` : description
}

/** Notes of one paragraph are lines; indented lines stand as they are. */
function noteLines(notes: readonly string[]): string[] {
  return notes.flatMap((note) => (note.startsWith('  ') ? verbatim([note.trimEnd()]) : paragraph(note)))
}

/** A list, where each code is explained once and in order. */
function exitLines(text: string | undefined): string[] {
  if (text === undefined) return []
  const parts = text.split(/[,;] (?=\d+ )/u).map((part) => /^(?<code>\d+) (?<what>.+)$/su.exec(part)?.groups)
  const codes = parts.map((part) => Number(part?.code))
  const isList = codes.every((code, index) => code > (codes[index - 1] ?? -1))
  if (!isList) return paragraph(text)
  return parts.flatMap((part) => item(bold(part?.code ?? ''), sentence(part?.what ?? '')))
}

function sentence(text: string): string {
  const full = `${text.charAt(0).toUpperCase()}${text.slice(1)}`
  return /[.:]$/u.test(full) ? full : `${full}.`
}
