/** `mailmux explain`: every decision on the way of a login, asked of the running mailmux. Changes nothing there. */
import { createAdminClient, Unanswered } from '../admin/client.ts'
import { loadAdminPlace } from '../config/load-admin.ts'
import type { Environment } from '../config/variables.ts'
import { formatExplanation } from './explain-table.ts'

export type ExplainOptions = {
  config: string
  protocol?: 'imap' | 'pop3'
  listener?: string
  sni?: string
  ip?: string
  json?: true
}

export type Terminal = {
  env: Environment
  /** take one line each, without its end */
  out: (line: string) => void
  complain: (line: string) => void
}

/** @returns the exit code: 0 where a login gets to a back end, 1 where not, 2 where there is no answer */
export async function explain(
  user: string,
  options: ExplainOptions,
  { env, out, complain }: Terminal,
): Promise<number> {
  const { config, protocol, listener, sni: serverName, ip: address, json } = options
  const place = loadAdminPlace(config, env)
  if ('wrong' in place) {
    complain(`mailmux explain: ${place.wrong}`)
    return 2
  }
  try {
    const answer = await createAdminClient(place).explain({ user, protocol, listener, serverName, address })
    const lines = json ? [JSON.stringify(answer, undefined, 2)] : formatExplanation(answer, Date.now())
    for (const line of lines) out(line)
    return answer.usable ? 0 : 1
  } catch (error) {
    if (!(error instanceof Unanswered)) throw error
    complain(`mailmux explain: ${error.message}`)
    return 2
  }
}
