/** The command `mailmux` from the sources, with the options of Node that its own first line gives it. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

export const MAIN = join(import.meta.dirname, '../../src/main.ts')

const [, options] = /^#!\/usr\/bin\/env -S node (--.*)\n/.exec(readFileSync(MAIN, 'utf8')) ?? []
if (options === undefined) throw new Error('src/main.ts does not begin with the line that makes it a command')

export const NODE_OF_COMMAND = [process.execPath, ...options.split(' ')]
