/** What runs mailmux in the end-to-end tests. The tests themselves, and what they start beside it, stay on Node. */
import { basename } from 'node:path'

/** The Node that runs the tests, or the program that MAILMUX_RUNTIME names, as `make test RUNTIME=bun` has it. */
export const MAILMUX_RUNTIME = process.env.MAILMUX_RUNTIME ?? process.execPath

export const ON_BUN = basename(MAILMUX_RUNTIME) === 'bun'

/** What Bun 1.4.5 lacks, with its cause; docs/runtime.md has the effects. Nothing else exempts a test from Bun. */
const LACKS = {
  ticketKeys: 'node:tls checks `ticketKeys` and does not use it: https://github.com/oven-sh/bun/pull/28691',
  boundSocket:
    'Node has net.BoundSocket since https://github.com/nodejs/node/pull/63951, and Bun has none, so nothing holds the ports while no worker lives, nor binds them before the rights of root are given up',
  passingPorts:
    'http.Server ignores the descriptor of a port, so that the port of `admin` cannot be inherited: https://github.com/oven-sh/bun/pull/33578',
  acceptErrors:
    'net.Server tells nothing of EMFILE, and tries again without a pause: https://github.com/oven-sh/bun/pull/32705',
  registerHooks: 'node:module has no registerHooks: https://github.com/oven-sh/bun/issues/27369',
} as const

/** For a test's `expectFailure`: the run fails once the test no longer does. @returns false on Node */
export function lacks(what: keyof typeof LACKS): string | false {
  return ON_BUN && LACKS[what]
}
