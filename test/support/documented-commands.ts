/** The commands in the documents: the blocks of a page, with the mark that stands before a block that is not run, or ends with another code. */

export type Block = {
  /** of the first line of the block */
  line: number
  commands: string[]
  /** why the block is not run */
  notRun: string | undefined
  /** the exit code that the last command must have */
  exitCode: number
}

/** What a line without `$ ` begins with where a block consists of commands only. */
const PROGRAMS =
  /^(mailmux|curl|redis-cli|make|npm|npx|docker|kubectl|cp|mv|apt|sudo|systemctl|journalctl|openssl|tail|git|source|man|rm|node|cd|DSYNC|for|bash|touch|ln|promtool|sysctl)\b(?!:)/

/**
 * Blocks with commands: with lines that begin with `$ `, whose other lines are output, or with nothing but commands. `<!-- not run: reason -->`
 * before a block says why its commands cannot run in the test; `<!-- ends with 1 -->` that the last one fails, as the page shows.
 */
export function readBlocks(text: string): Block[] {
  const blocks: Block[] = []
  for (const match of text.matchAll(
    /^(?:[ \t]*<!-- (.*) -->\n)?([ \t]*)```(?:sh|bash|console)?\n([^]*?)^[ \t]*```$/gm,
  )) {
    const [all, mark = '', indent = '', body = ''] = match
    const lines = body.split('\n').map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line))
    const first = lines.find((line) => line.trim() !== '') ?? ''
    const isPrompted = lines.some((line) => line.startsWith('$ '))
    if (!isPrompted && !PROGRAMS.test(first)) continue
    const notRun = /^not run: (.+)$/.exec(mark)?.[1]
    const exitCode = Number(/^ends with (\d+)/.exec(mark)?.[1] ?? 0)
    const line = text.slice(0, match.index + all.indexOf('```')).split('\n').length
    blocks.push({ line, commands: commandsOf(lines, isPrompted), notRun, exitCode })
  }
  return blocks
}

function commandsOf(lines: readonly string[], isPrompted: boolean): string[] {
  const commands: string[] = []
  let goesOn = false
  for (const line of lines) {
    const isCommand = isPrompted ? line.startsWith('$ ') : line.trim() !== '' && !line.startsWith('#')
    if (goesOn) commands.push(`${commands.pop() ?? ''}\n${line}`)
    else if (isCommand) commands.push(isPrompted ? line.slice(2) : line)
    else continue
    goesOn = line.endsWith('\\')
  }
  return commands
}
