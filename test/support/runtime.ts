/** What runs mailmux in the end-to-end tests. The tests themselves, and what they start beside it, stay on Node. */
import { basename } from 'node:path'

/** The Node that runs the tests, or the program that MAILMUX_RUNTIME names, as `make test RUNTIME=bun` has it. */
export const MAILMUX_RUNTIME = process.env.MAILMUX_RUNTIME ?? process.execPath

/** For a test's `expectFailure`, with what Bun lacks: such a test is listed in docs/performance.md, and fails the run once it no longer fails. */
export const ON_BUN = basename(MAILMUX_RUNTIME) === 'bun'
