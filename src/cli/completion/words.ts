/** What the three completion scripts are made of: which words of the line lead where, and what can stand at each place. */
import { flatten, type CommandNode, type Value } from './command-tree.ts'

export type Described = { word: string; description: string }

export type CompletionWords = {
  /** such as `mailmux backend`: a word that leads to another command */
  commands: string[]
  /** such as `mailmux move --from`: an option whose value is the next word */
  takers: { at: string; value: Value }[]
  /** the path of the command and the number of arguments before this place, such as `mailmux backend drain:0` */
  places: { at: string; value: Value | { kind: 'command'; commands: Described[] } }[]
  /** the options of each command */
  options: { path: string; options: Described[] }[]
}

export function listWords(root: CommandNode): CompletionWords {
  const all = flatten(root)
  return {
    commands: all.slice(1).map(({ path }) => path),
    takers: all.flatMap(({ path, options }) =>
      options.flatMap(({ names, value }) => (value ? names.map((name) => ({ at: `${path} ${name}`, value })) : [])),
    ),
    places: all.flatMap((command) => placesOf(command)),
    options: all.map(({ path, options }) => ({
      path,
      options: options.flatMap(({ names, description }) => names.map((word) => ({ word, description }))),
    })),
  }
}

function placesOf({ path, commands, arguments: named }: CommandNode): CompletionWords['places'] {
  if (commands.length > 0) {
    const described = commands.map(({ name, description }) => ({ word: name, description }))
    return [{ at: `${path}:0`, value: { kind: 'command', commands: described } }]
  }
  return named.map(({ value }, index) => ({ at: `${path}:${index}`, value }))
}

/** Text in quotes of a shell, in which it means nothing else. Bash and zsh know no escape between them. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", String.raw`'\''`)}'`
}

/** Patterns of a `case`; none would be a syntax error. */
export function pattern(texts: readonly string[]): string {
  return texts.length === 0 ? "''" : texts.map(quote).join(' | ')
}

/** Those that have the same value, together. */
export function groupByValue<T extends { kind: string }>(
  listed: readonly { at: string; value: T }[],
): { ats: string[]; value: T }[] {
  const groups = new Map<string, { ats: string[]; value: T }>()
  for (const { at, value } of listed) {
    const key = JSON.stringify(value)
    const group = groups.get(key)
    if (group) group.ats.push(at)
    else groups.set(key, { ats: [at], value })
  }
  return [...groups.values()]
}
