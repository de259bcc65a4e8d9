/** The completion script for zsh: to be sourced, or to be kept as \`_mailmux\` in a directory of \`fpath\`. */
import type { Value } from './command-tree.ts'
import { groupByValue, pattern, quote, type CompletionWords, type Described } from './words.ts'

/** @param name of the program */
export function zshScript(name: string, { commands, takers, places, options }: CompletionWords): string {
  const wordsOf = (value: CompletionWords['places'][number]['value']): string =>
    value.kind === 'command' ? `kind=command listed=(${describe(value.commands)})` : valueOf(value)
  return `#compdef ${name}
# Completion of ${name} for zsh, made by \`${name} completion zsh\`.
_${name}() {
  local at=${name} argument=0 index current=\${words[CURRENT]} previous=\${words[CURRENT-1]} kind= config=
  local -a listed
  for ((index = 2; index < CURRENT; index++)); do
    case "$at \${words[index]}" in
      (${pattern(commands)}) at="$at \${words[index]}" argument=0 ;;
      (*' -c' | *' --config') config=\${words[++index]} ;;
      (${pattern(takers.map(({ at }) => at))}) ((index++)) ;;
      (*' -'*) ;;
      (*) ((argument++)) ;;
    esac
  done
  if [[ $current == --*=* ]]; then
    previous=\${current%%=*}
    compset -P '*='
  fi
  case "$at $previous" in
${groupByValue(takers)
  .map(({ ats, value }) => `    (${pattern(ats)}) ${valueOf(value)} ;;`)
  .join('\n')}
    (*)
      if [[ $current == -* ]]; then
        kind=option
        case "$at" in
${options.map(({ path, options: own }) => `          (${quote(path)}) listed=(${describe(own)}) ;;`).join('\n')}
        esac
      else
        case "$at:$argument" in
${groupByValue(places)
  .map(({ ats, value }) => `          (${pattern(ats)}) ${wordsOf(value)} ;;`)
  .join('\n')}
        esac
      fi
      ;;
  esac
  case $kind in
    (file) _files ;;
    (directory) _files -/ ;;
    (backend) compadd -- \${(f)"$(\${words[1]} backend-names $config 2> /dev/null)"} ;;
    (choice) compadd -- $listed ;;
    (command) _describe -t commands command listed ;;
    (option) _describe -o -t options option listed ;;
  esac
}
if [[ \${funcstack[1]} == _${name} ]]; then
  _${name} "$@"
else
  compdef _${name} ${name}
fi
`
}

function valueOf(value: Value): string {
  return value.kind === 'choice' ? `kind=choice listed=(${value.choices.map(quote).join(' ')})` : `kind=${value.kind}`
}

/** A colon parts a word from its description. */
function describe(described: readonly Described[]): string {
  return described
    .map(({ word, description }) => quote(`${word.replaceAll(':', String.raw`\:`)}:${description}`))
    .join(' ')
}
