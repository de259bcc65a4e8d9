/** The page of figures, docs/performance.md: what stands between its two marks is a run's, and nobody's hand's. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

const CHART = 'performance.svg'

/** Throws when the page has no marks. */
export async function fillPage(directory: string, tables: string, chart: string): Promise<void> {
  const file = join(directory, 'performance.md')
  const page = await readFile(file, 'utf8')
  const image = `![What each proxy costs, as a multiple of the first](${CHART})`
  const filled = page.replace(
    /(<!-- bench -->\n)[^]*(<!-- end of bench -->)/,
    (_, start: string, end: string) => `${start}\n${image}\n\n${tables}\n${end}`,
  )
  if (filled === page) throw new Error(`${file} has no marks, or has been filled with this already`)
  await writeFile(file, filled)
  await writeFile(join(directory, CHART), chart)
}
