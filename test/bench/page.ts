/** The page of figures, docs/performance.md: what stands between its two marks is a run's, and nobody's hand's. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const CHART = 'performance.svg'

/** The parts of the page, by the command that writes them. */
export type Part = 'bench' | 'bench-features' | 'bench-profile'

/** Throws when the page has no marks of the part. */
export async function fillPart(directory: string, part: Part, text: string): Promise<void> {
  const file = join(directory, 'performance.md')
  const page = await readFile(file, 'utf8')
  const filled = page.replace(
    new RegExp(`(<!-- ${part} -->\\n)[^]*(<!-- end of ${part} -->)`),
    (_, start: string, end: string) => `${start}\n${text}\n${end}`,
  )
  if (filled === page) throw new Error(`${file} has no marks of ${part}, or has been filled with this already`)
  await writeFile(file, filled)
}

/** As `fillPart`. */
export async function fillPage(directory: string, tables: string, chart: string): Promise<void> {
  await fillPart(directory, 'bench', `![What each proxy costs, as a multiple of the first](${CHART})\n\n${tables}`)
  await writeFile(join(directory, CHART), chart)
}
