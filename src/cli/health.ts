/** `mailmux health`: whether the running mailmux serves, as `/readyz` says, and which addresses of back ends fail. */
import type { BackendAnswer } from '../admin/answers.ts'
import { createAdminClient, Unanswered, type AdminClient } from '../admin/client.ts'
import { hostPort } from '../net/address.ts'
import { printable } from '../printable.ts'
import { findRunning, formatJson, formatStart, type Terminal } from './ask-running.ts'
import { causeOf, type Cause } from './causes.ts'

const NAME = 'mailmux health'

/** An address of a back end that is not up, or a back end without an address. */
export type Failing = Cause & {
  backend: string
  protocol?: string
  host?: string
  ip?: string
  port?: number
  state: 'down' | 'misconfigured' | 'no-address'
}

/**
 * A back end that fails does not change the exit code: other back ends serve, and a restart of mailmux would not help.
 * @returns the exit code: 0 where it serves, 1 where not, 2 if the configuration has no address to ask
 */
export async function health(
  { config: configFile, json }: { config: string; json?: true },
  { env, out, printError, running }: Terminal,
): Promise<number> {
  const found = await findRunning(configFile, env, running)
  if ('wrong' in found) {
    printError(printable(`${NAME}: ${found.wrong}`))
    return 2
  }
  const client = createAdminClient(found.place)
  // Both at once: the health check of a container has a deadline.
  const asking = findFailing(client)
  try {
    const { ready, text } = await client.readiness()
    const failing = await asking
    for (const line of json ? formatJson({ ready, text, ...(failing && { failing }) }) : [text]) out(line)
    if (!json) for (const one of failing ?? []) printError(printable(`${NAME}: ${formatFailing(one)}`))
    return ready ? 0 : 1
  } catch (error) {
    if (!(error instanceof Unanswered)) throw error
    const said = error.isAbsent ? formatStart(found.looked, configFile) : error.message
    printError(printable(`${NAME}: ${said}`))
    return 1
  }
}

/** @returns undefined where the list is not to be had: a token may be required, and a starting mailmux has none yet */
async function findFailing(client: Pick<AdminClient, 'backendsSoon'>): Promise<Failing[] | undefined> {
  try {
    return failingOf((await client.backendsSoon()).backends)
  } catch (error) {
    if (error instanceof Unanswered) return undefined
    throw error
  }
}

function failingOf(backends: readonly BackendAnswer[]): Failing[] {
  return backends.flatMap(({ name: backend, addresses }): Failing[] => {
    if (addresses.length === 0) return [{ backend, state: 'no-address', ...causeOf('backend-unreachable') }]
    return addresses.flatMap(({ protocol, host, ip, port, state, lastError }) =>
      state === 'up' ? [] : [{ backend, protocol, host, ip, port, state, ...causeOf(lastError ?? 'backend-down') }],
    )
  })
}

function formatFailing({ backend, protocol, host, ip, port, state, code, cause, next }: Failing): string {
  if (ip === undefined) return `back end ${backend}: no address is known: ${cause} (${code}); next: ${next}`
  const at = `${hostPort(ip, port ?? 0)}${host === ip || host === undefined ? '' : ` (${host})`}`
  return `back end ${backend}, ${protocol} at ${at} is ${state}: ${cause} (${code}); next: ${next}`
}
