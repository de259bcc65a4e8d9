/** Files that mailmux writes, as settings name them. Whether the user of the running mailmux may write them is found out at its start. */
import fs from 'node:fs'
import path from 'node:path'
import type { ReadFiles } from '../read-files.ts'
import type { Path, Reporter } from '../schema/read.ts'

/**
 * @param file absolute
 * @param at the setting that names it
 * @param files all that the configuration is read from: to write there would be the end of it
 */
export function checkWrittenFile(
  file: string | undefined,
  at: Path,
  files: Pick<ReadFiles, 'has'>,
  report: Reporter,
): void {
  if (file === undefined) return
  if (files.has(file)) report.error(at, 'is a file of the configuration, which would be written over')
  else if (!isDirectory(path.dirname(file))) report.error(at, `the directory ${path.dirname(file)} does not exist`)
  else if (isDirectory(file)) report.error(at, 'is a directory')
}

function isDirectory(file: string): boolean {
  return fs.statSync(file, { throwIfNoEntry: false })?.isDirectory() === true
}
