/** A password from standard input: typed unseen at a terminal, or the first line of what is piped in. Never from the arguments, which every user of the machine can read. */
import type { ReadStream } from 'node:tty'

/** Longer than any password; what is longer is a file that was piped in by mistake. */
const MAX_LENGTH = 1000

export type PasswordInput = NodeJS.ReadableStream & Partial<Pick<ReadStream, 'isTTY' | 'setRawMode'>>

/**
 * @param prompt is shown at a terminal alone
 * @returns undefined where there is none: nothing was typed, or Ctrl-C
 */
export async function readPassword(input: PasswordInput, prompt: (text: string) => void): Promise<string | undefined> {
  const isTerminal = input.isTTY === true
  input.setEncoding('utf8')
  if (isTerminal) {
    input.setRawMode?.(true) // before the prompt, or what is typed at once would be seen
    prompt('Password: ')
  }
  try {
    let typed = ''
    for await (const piece of input) {
      const result = takeKeys(typed, String(piece), isTerminal)
      if (result.done) return result.text === '' ? undefined : result.text
      typed = result.text
    }
    return typed === '' ? undefined : typed
  } finally {
    if (isTerminal) {
      input.setRawMode?.(false)
      prompt('\n')
    }
  }
}

/** What has been typed after these keys, and whether that is all. At a terminal in raw mode the keys that edit are ours to follow. */
export function takeKeys(typed: string, keys: string, isTerminal: boolean): { text: string; done: boolean } {
  let text = typed
  for (const key of keys) {
    if (key === '\n' || key === '\r') return { text, done: true }
    if (isTerminal && key === '\u0003') return { text: '', done: true } // Ctrl-C
    if (isTerminal && key === '\u0004') return { text, done: true } // Ctrl-D
    if (isTerminal && key === '\u0015')
      text = '' // Ctrl-U
    else if (isTerminal && (key === '\u007f' || key === '\b')) text = Array.from(text).slice(0, -1).join('')
    else text += key
    if (text.length > MAX_LENGTH) return { text: '', done: true }
  }
  return { text, done: false }
}
