/** The completion script for fish. */
import type { Value } from './command-tree.ts'
import type { CompletionWords } from './words.ts'

/** @param name of the program */
export function fishScript(name: string, { commands, takers, places, options }: CompletionWords): string {
  const add = (condition: string, ...rest: string[]): string =>
    [`complete -c ${name} -n ${quote(condition)}`, ...rest].join(' ')
  const argumentOf = (value: Value): string[] => {
    switch (value.kind) {
      case 'choice':
        return ['-x', '-a', quote(value.choices.join(' '))]
      case 'backend':
        return ['-x', '-a', quote(`(__${name}_backends)`)]
      case 'file':
        return ['-r', '-F']
      case 'directory':
        return ['-x', '-a', quote('(__fish_complete_directories)')]
      case 'text':
        return ['-x']
    }
  }
  const values = new Map(takers.map(({ at, value }) => [at, value]))
  const lines = [
    ...places.flatMap(({ at, value }) => {
      const condition = `__${name}_is_at ${quote(at)}`
      if (value.kind !== 'command')
        return [add(condition, ...argumentOf(value).filter((word) => !/^-[xr]$/u.test(word)))]
      return value.commands.map(({ word, description }) => add(condition, '-a', word, '-d', quote(description)))
    }),
    ...options.flatMap(({ path, options: own }) =>
      own.map(({ word, description }) => {
        const value = values.get(`${path} ${word}`)
        const named = word.startsWith('--') ? ['-l', word.slice(2)] : ['-s', word.slice(1)]
        const taken = value ? argumentOf(value) : []
        return add(`__${name}_is_in ${quote(path)}`, ...named, ...taken, '-d', quote(description))
      }),
    ),
  ]
  return `# Completion of ${name} for fish, made by \`${name} completion fish\`.
function __${name}_at --description 'The command of the line, and the number of its arguments'
    set -l words (commandline -opc)
    set -l at ${name}
    set -l argument 0
    set -l index 2
    while test $index -le (count $words)
        switch "$at $words[$index]"
            case ${commands.map(quote).join(' ')}
                set at "$at $words[$index]"
                set argument 0
            case ${takers.map(({ at }) => quote(at)).join(' ')}
                set index (math $index + 1)
            case '* -*'
            case '*'
                set argument (math $argument + 1)
        end
        set index (math $index + 1)
    end
    echo "$at:$argument"
end
function __${name}_is_at
    test (__${name}_at) = $argv[1]
end
function __${name}_is_in
    string match -q "$argv[1]:*" (__${name}_at)
end
function __${name}_backends --description 'The back ends of the configuration'
    set -l words (commandline -opc)
    set -l config
    for index in (seq 2 (count $words))
        if contains -- $words[$index] -c --config; and test $index -lt (count $words)
            set config $words[(math $index + 1)]
        end
    end
    $words[1] backend-names $config 2>/dev/null
end
complete -c ${name} -f
${lines.join('\n')}
`
}

/** In single quotes fish knows two escapes. */
function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", String.raw`\'`)}'`
}
