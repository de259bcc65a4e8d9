/** Every command block of README and docs/ runs in a site of its own, or says in a comment before it why not. Complete configurations are checked. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { within } from '../support/deadline.ts'
import { type Block, readBlocks } from '../support/documented-commands.ts'
import type { Outcome } from '../support/documented-site.ts'

const root = join(import.meta.dirname, '../..')
const pages = globSync(['README.md', 'docs/*.md', 'contrib/**/*.md', 'CONTRIBUTING.md', 'SECURITY.md'], {
  cwd: root,
}).sort()
const blocksOf = new Map<string, Block[]>(
  pages.map((page) => [page, readBlocks(readFileSync(join(root, page), 'utf8'))]),
)
/** A hundred commands, most of which end within a second, and within ten on a busy machine. */
const DEADLINE_MS = 1_800_000

test('a block that is not run has its reason', () => {
  for (const [page, blocks] of blocksOf)
    for (const { notRun, line } of blocks) assert.ok(notRun === undefined || notRun.length > 10, `${page}:${line}`)
})

test('the commands of every other block run, and end as the page says', async () => {
  if (process.getuid?.() !== 0) return // the site needs ports below 1024, and /etc for itself
  const toRun = pages.map((page) => ({
    page,
    blocks: blocksOf.get(page)?.filter(({ notRun }) => notRun === undefined) ?? [],
  }))
  // An overlay over /etc, a /run and a network of its own: the commands see the paths and ports that the pages name.
  const prepare = `set -e
ip link set lo up
mount -t tmpfs tmpfs /run
mkdir -p /run/overlay/upper /run/overlay/work
mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/overlay/upper,workdir=/run/overlay/work /etc
exec '${process.execPath}' '${join(root, 'test/support/documented-site.ts')}'`
  const own = ['--mount', '--net', '--pid', '--fork', '--kill-child=SIGKILL', '--mount-proc']
  const child = spawn('unshare', [...own, 'sh', '-c', prepare], { cwd: root, stdio: ['pipe', 'pipe', 'pipe'] })
  const text = { stdout: '', stderr: '' }
  for (const name of ['stdout', 'stderr'] as const)
    child[name].setEncoding('utf8').on('data', (chunk: string) => (text[name] += chunk))
  child.stdin.end(JSON.stringify(toRun.filter(({ blocks }) => blocks.length > 0)))
  const [code] = (await within(DEADLINE_MS, once(child, 'close'), () => text.stdout + text.stderr)) as unknown[]
  assert.equal(code, 0, text.stderr)
  const outcomes = text.stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Outcome)
  assert.equal(outcomes.length, toRun.flatMap(({ blocks }) => blocks).flatMap(({ commands }) => commands).length)
  const wrong = outcomes.filter(({ page, line, command, code }) => {
    const block = blocksOf.get(page)?.find((block) => block.line === line)
    return code !== (command === block?.commands.at(-1) ? block.exitCode : 0)
  })
  const lines = wrong.map(
    ({ page, line, command, code, output }) => `${page}:${line}: ${command}: ${code ?? 'killed'}\n${output}`,
  )
  assert.equal(lines.length, 0, lines.join('\n'))
})
