/** `mailmux man`: writes the manual pages, which come from the tree of commands and from the schemas of the two files. */
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { Command } from 'commander'
import { toEpochMs } from '../../clock.ts'
import type { CommandParts } from '../command-parts.ts'

export function addManCommand(program: Command, { terminal, exitAsUsage, exitWith }: CommandParts): void {
  program
    .command('man')
    .exitOverride(exitAsUsage)
    .description('write the manual pages into a directory, such as for a package')
    .argument('<directory>', 'is created if it is missing')
    .addHelpText(
      'after',
      '\nThe date of the pages is that of SOURCE_DATE_EPOCH, or today. To read a page: man -l FILE.\nExit codes: 0 written, 1 not written, 2 wrong usage.\nExample: mailmux man /usr/local/share/man',
    )
    .action(async (directory: string) => {
      try {
        for (const file of await writePages(program, directory, dateOf(terminal.env.SOURCE_DATE_EPOCH)))
          terminal.out(file)
      } catch (error) {
        terminal.printError(`mailmux man: ${error instanceof Error ? error.message : String(error)}`)
        exitWith(1)
      }
    })
}

/** Writes each page into the folder of its section, such as `man1`. @returns the files. @throws Error of the system */
async function writePages(program: Command, directory: string, date: string): Promise<string[]> {
  const { commandPages } = await import('./command-pages.ts')
  const { filePages } = await import('./file-pages.ts')
  const { formatPage } = await import('./roff.ts')
  const edition = { date, version: program.version() ?? '' }
  return [...commandPages(program, edition), ...filePages(edition)].map((page) => {
    const folder = path.join(directory, `man${page.section}`)
    mkdirSync(folder, { recursive: true })
    const file = path.join(folder, `${page.name}.${page.section}`)
    writeFileSync(file, formatPage(page))
    return file
  })
}

/** @param epoch seconds, of https://reproducible-builds.org/specs/source-date-epoch/ */
function dateOf(epoch: string | undefined): string {
  const date =
    epoch !== undefined && /^\d{1,11}$/u.test(epoch)
      ? new Date(Number(epoch) * 1000)
      : new Date(toEpochMs(performance.now()))
  return date.toISOString().slice(0, 10)
}
