/** Which format a file has: by the ending of its name, or by its first lines. */
import { createCsvReader } from './csv.ts'
import { createDovecotReader } from './dovecot.ts'
import type { FormatName, ReadBlock } from './format.ts'
import { createJsonLinesReader } from './json-lines.ts'
import { createNginxReader } from './nginx.ts'

const READERS: Readonly<Record<FormatName, () => ReadBlock>> = {
  csv: createCsvReader,
  jsonl: createJsonLinesReader,
  dovecot: createDovecotReader,
  nginx: createNginxReader,
}

export function createReader(format: FormatName): ReadBlock {
  return READERS[format]()
}

const ENDINGS: Readonly<Record<string, FormatName>> = {
  csv: 'csv',
  tsv: 'csv',
  jsonl: 'jsonl',
  ndjson: 'jsonl',
  json: 'jsonl',
  passwd: 'dovecot',
  map: 'nginx',
}

/** @returns undefined if neither tells */
export function guessFormat(file: string, lines: readonly string[]): FormatName | undefined {
  const ending = /\.(?<ending>[a-z]+)$/iu.exec(file)?.groups?.ending?.toLowerCase()
  const byName = ending === undefined ? undefined : ENDINGS[ending]
  if (byName) return byName
  const first = lines.find((line) => line.trim() !== '' && !line.trimStart().startsWith('#'))?.trim() ?? ''
  if (first.startsWith('{')) return 'jsonl'
  if (/^map\s/u.test(first) || /;(?:\s*#.*)?$/u.test(first)) return 'nginx'
  if (/^[^:,;\s]+:(?:[^:]*:){0,6}/u.test(first) && /(?:^|[\s:_])host(?:ip)?=/u.test(first)) return 'dovecot'
  if (/[,;\t]/u.test(first)) return 'csv'
  return /^[^:\s]+(?::[^:]*){6,}/u.test(first) ? 'dovecot' : undefined
}
