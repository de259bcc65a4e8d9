/** The second runtime, for the peers that run on it. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

/** `make bench` puts it there. */
const BUN_PACKAGE = `@oven/bun-linux-${process.arch === 'arm64' ? 'aarch64' : 'x64'}`
export const BUN = join(import.meta.dirname, '../../../.runtime/bun/node_modules', BUN_PACKAGE, 'bin/bun')

export async function describeBun(): Promise<string> {
  return `bun ${(await run(BUN, ['--version'])).stdout.trim()}`
}
