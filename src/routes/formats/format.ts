/** What every format of a file of routes gives: one entry, or what is wrong, for each line that has a meaning. */

/** Where a route of a file leads, in the words of the file: the name of a back end, or its host with or without a port. */
export type FileRoute = {
  line: number
  user: string
  target: string
  /** undefined: the file has none, and one in Redis stays. null: there is to be none */
  login?: string | null | undefined
  status?: string | undefined
  /** The file does not name its fields: the values may be those of another file, and among them passwords. */
  isUnnamed?: true
}

export type WrongLine = { line: number; why: string }

/** Lines without their ends; `first` is the number of the first one, from 1. `tooLong`: the numbers of lines that are not read. */
export type Block = { first: number; lines: readonly string[]; tooLong?: readonly number[] }

/** Reads block after block of one file. A mistake in a line says nothing of its values, which can be passwords. */
export type ReadBlock = (block: Block) => (FileRoute | WrongLine)[]

export const FORMATS = ['csv', 'jsonl', 'dovecot', 'nginx'] as const
export type FormatName = (typeof FORMATS)[number]

export const isWrong = (entry: object): entry is WrongLine => 'why' in entry

/** Shown of a text of the file in a message. */
export function show(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text)
}

/** A name that is more than one word, or has a character of a password hash or of the lines around one, can hold a password. */
const ONE_WORD = /^[^\s:;,|{}$"'=\\]+$/u

/** As `show`, of what stands where a user belongs. */
export function showUser(text: string): string {
  return ONE_WORD.test(text) ? show(text) : 'the user of this line'
}
