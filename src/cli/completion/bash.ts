/** The completion script for bash. */
import type { Value } from './command-tree.ts'
import { groupByValue, pattern, quote, type CompletionWords } from './words.ts'

/**
 * The script reads the line itself: bash parts words at `@` and `=` too, so that the name of a user would be three words.
 * @param name of the program
 */
export function bashScript(name: string, { commands, takers, places, options }: CompletionWords): string {
  const wordsOf = (value: CompletionWords['places'][number]['value']): string =>
    value.kind === 'command' ? `words=${quote(value.commands.map(({ word }) => word).join(' '))}` : valueOf(value)
  return `# Completion of ${name} for bash, made by \`${name} completion bash\`.
_${name}() {
  local at=${name} argument=0 index current previous kind=words words='' config=''
  local -a line
  read -ra line <<< "\${COMP_LINE:0:COMP_POINT}"
  [[ \${COMP_LINE:COMP_POINT-1:1} == [[:space:]] ]] && line+=('')
  for ((index = 1; index < \${#line[@]} - 1; index++)); do
    case "$at \${line[index]}" in
      ${pattern(commands)}) at="$at \${line[index]}" argument=0 ;;
      *' -c' | *' --config') config=\${line[++index]} ;;
      ${pattern(takers.map(({ at }) => at))}) ((index++)) ;;
      *' -'*) ;;
      *) ((argument++)) ;;
    esac
  done
  current=\${line[-1]} previous=\${line[-2]}
  [[ $current == --*=* ]] && previous=\${current%%=*} current=\${current#*=}
  case "$at $previous" in
${groupByValue(takers)
  .map(({ ats, value }) => `    ${pattern(ats)}) ${valueOf(value)} ;;`)
  .join('\n')}
    *)
      if [[ $current == -* ]]; then
        case "$at" in
${options.map(({ path, options: own }) => `          ${quote(path)}) words=${quote(own.map(({ word }) => word).join(' '))} ;;`).join('\n')}
        esac
      else
        case "$at:$argument" in
${groupByValue(places)
  .map(({ ats, value }) => `          ${pattern(ats)}) ${wordsOf(value)} ;;`)
  .join('\n')}
        esac
      fi
      ;;
  esac
  case $kind in
    file) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    directory) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    backend) words=$("$1" backend-names \${config:+"$config"} 2> /dev/null) ;;&
    words | backend) mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current") ;;
  esac
}
complete -F _${name} ${name}
`
}

function valueOf(value: Value): string {
  return value.kind === 'choice' ? `words=${quote(value.choices.join(' '))}` : `kind=${value.kind}`
}
