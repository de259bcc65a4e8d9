/** The terminal of `mailmux top`: its alternate screen, its keys and its size. It is as it was before when `close` has run. */
import type { ReadStream, WriteStream } from 'node:tty'

export type Keys = NodeJS.ReadableStream & Partial<Pick<ReadStream, 'isTTY' | 'setRawMode'>>
export type Output = NodeJS.WritableStream & Partial<Pick<WriteStream, 'isTTY' | 'columns' | 'rows' | 'writableLength'>>

export type Screen = {
  size(): { columns: number; rows: number }
  /** Shows these lines and nothing else. */
  paint(lines: readonly string[]): void
  /** Back to what was there before. May be called twice. */
  close(): void
}

const ENTER = '\x1b[?1049h\x1b[?25l'
const LEAVE = '\x1b[?25h\x1b[?1049l'
const HOME = '\x1b[H'
const CLEAR_LINE = '\x1b[K'
const CLEAR_REST = '\x1b[J'

/** A terminal that tells no size. */
const USUAL = { columns: 80, rows: 24 }

/**
 * @param onKey gets one key each; the sequence of an arrow or function key is none
 * @param onResize called when the size has changed (SIGWINCH)
 */
export function openScreen(keys: Keys, output: Output, onKey: (key: string) => void, onResize: () => void): Screen {
  let isOpen = true
  const read = (piece: string | Buffer): void => {
    const text = String(piece)
    if (text.length > 1 && text.startsWith('\x1b')) return
    for (const key of text) onKey(key)
  }
  keys.setEncoding('utf8')
  keys.setRawMode?.(true)
  keys.on('data', read)
  keys.on('end', leave)
  output.on('resize', onResize)
  output.write(ENTER)

  /** The terminal is gone. */
  function leave(): void {
    onKey('q')
  }

  return {
    // A terminal of no size is one that has not told it.
    size: () => ({ columns: output.columns || USUAL.columns, rows: output.rows || USUAL.rows }),
    paint(lines) {
      // A slow terminal gets the next frame; this one would only come late.
      if (!isOpen || (output.writableLength ?? 0) > 0) return
      output.write(`${HOME}${lines.map((line) => `${line}${CLEAR_LINE}`).join('\r\n')}${CLEAR_REST}`)
    },
    close() {
      if (!isOpen) return
      isOpen = false
      keys.off('data', read)
      keys.off('end', leave)
      output.off('resize', onResize)
      keys.setRawMode?.(false)
      keys.pause()
      output.write(LEAVE)
    },
  }
}
