/** The lines of a file, block after block, with memory for one block. */
import { createReadStream } from 'node:fs'
import type { Block } from './format.ts'

const BLOCK_BYTES = 256 * 1024
/** Characters. Many times what a route needs. Of a longer line nothing is read: what is left of it could be another route. */
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
  /** the beginning of the line in progress is gone */
  let isRestTooLong = false
  const readLines = (lines: readonly string[]): Block => {
    const tooLong: number[] = []
    const texts = lines.map((line, index) => {
      if (line.length <= MOST_LINE && !(index === 0 && isRestTooLong))
        return line.endsWith('\r') ? line.slice(0, -1) : line
      tooLong.push(first + index)
      return ''
    })
    return { first, lines: texts, ...(tooLong.length > 0 && { tooLong }) }
  }
  for await (const chunk of createReadStream(file, { highWaterMark: BLOCK_BYTES })) {
    const piece = chunk as Buffer
    octets += piece.length
    const lines = `${rest}${decoder.decode(piece, { stream: true })}`.split('\n')
    rest = lines.pop() ?? ''
    onRead(octets)
    if (lines.length > 0) {
      yield readLines(lines)
      first += lines.length
      isRestTooLong = false
    }
    // A line without an end takes no memory.
    if (rest.length > MOST_LINE) isRestTooLong = true
    if (isRestTooLong) rest = ''
  }
  rest += decoder.decode()
  if (rest !== '' || isRestTooLong) yield readLines([rest])
}
