/** The lines of a file, block after block, with memory for one block. */
import { createReadStream } from 'node:fs'
import type { Block } from './format.ts'

const BLOCK_BYTES = 256 * 1024
/** Many times what a route needs. A longer line is cut, and so is no route in any format. */
const MOST_LINE = 64 * 1024

/** @param onRead gets the number of octets that were read so far. @throws Error of the system */
export async function* readBlocks(
  file: string,
  onRead: (octets: number) => void = () => undefined,
): AsyncGenerator<Block> {
  const decoder = new TextDecoder('utf-8') // takes a byte order mark away
  let rest = ''
  let first = 1
  let octets = 0
  const cut = (line: string): string => {
    const text = line.length > MOST_LINE ? line.slice(0, MOST_LINE) : line
    return text.endsWith('\r') ? text.slice(0, -1) : text
  }
  for await (const chunk of createReadStream(file, { highWaterMark: BLOCK_BYTES })) {
    const piece = chunk as Buffer
    octets += piece.length
    const lines = `${rest}${decoder.decode(piece, { stream: true })}`.split('\n')
    rest = lines.pop() ?? ''
    // The rest of a line without an end takes no more memory.
    if (rest.length > MOST_LINE) rest = rest.slice(0, MOST_LINE)
    onRead(octets)
    if (lines.length === 0) continue
    yield { first, lines: lines.map(cut) }
    first += lines.length
  }
  rest += decoder.decode()
  if (rest !== '') yield { first, lines: [cut(rest)] }
}
