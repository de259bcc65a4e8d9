/** Lines and columns of offsets in a text. The index is made at the first question, as a file without a problem needs none. */
import type { Spot } from './problems.ts'

/** @returns the place from one offset to another */
export function createLineIndex(text: string): (from: number, to: number) => Spot {
  let starts: number[] | undefined

  return (from, to) => {
    starts ??= findStarts(text)
    const at = Math.min(from, text.length)
    let low = 0
    let high = starts.length
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if ((starts[middle] ?? Infinity) <= at) low = middle
      else high = middle
    }
    const start = starts[low] ?? 0
    const next = starts[low + 1]
    const line = text.slice(start, next === undefined ? text.length : next - 1)
    return { line: low + 1, column: at - start + 1, length: Math.max(1, to - from), text: line.replace(/\r$/u, '') }
  }
}

function findStarts(text: string): number[] {
  const starts = [0]
  for (let at = text.indexOf('\n'); at !== -1; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return starts
}
