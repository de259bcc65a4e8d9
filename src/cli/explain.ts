/** `mailmux explain`: every decision on the way of a login, asked of the running mailmux; with `--login` the login itself. */
import type { RouteAnswer, TrialAnswer } from '../admin/answers.ts'
import type { RouteQuestion } from '../admin/api.ts'
import { createAdminClient, Unanswered, type AdminClient } from '../admin/client.ts'
import { loadAdminPlace } from '../config/load-admin.ts'
import type { Environment } from '../config/yaml/variables.ts'
import { escapeInJson, printable } from '../printable.ts'
import type { ProtocolName } from '../protocol/registry.ts'
import { Secret } from '../secret.ts'
import { formatExplanation } from './explain-table.ts'

export type ExplainOptions = {
  config: string
  protocol?: ProtocolName
  listener?: string
  sni?: string
  ip?: string
  login?: true
  json?: true
}

export type Terminal = {
  env: Environment
  /** take one line each, without its end */
  out: (line: string) => void
  printError: (line: string) => void
  /** undefined where none is given */
  readPassword: () => Promise<string | undefined>
}

type Answer = RouteAnswer & { trial?: TrialAnswer }

/** @returns the exit code: 0 where a login gets to a back end at every worker (with `--login`: is accepted there), 1 where not, 2 where there is no answer */
export async function explain(user: string, options: ExplainOptions, terminal: Terminal): Promise<number> {
  const { env, out, printError, readPassword } = terminal
  const { config, protocol, listener, sni: serverName, ip: address, login, json } = options
  const question = { user, protocol, listener, serverName, address }
  const place = loadAdminPlace(config, env)
  if ('wrong' in place) {
    printError(printable(`mailmux explain: ${place.wrong}`))
    return 2
  }
  try {
    const client = createAdminClient(place)
    const answer: Answer = login ? await testLogin(client, question, readPassword) : await client.explain(question)
    const lines = json
      ? escapeInJson(JSON.stringify(answer, undefined, 2)).split('\n')
      : formatExplanation(answer, Date.now())
    for (const line of lines) out(line)
    const isUsable = [answer, ...(answer.otherWorkers ?? [])].every(({ usable }) => usable)
    return (answer.trial?.accepted ?? isUsable) ? 0 : 1
  } catch (error) {
    if (!(error instanceof Unanswered)) throw error
    printError(printable(`mailmux explain: ${error.message}`))
    return 2
  }
}

/** Asks for the route first, so that nobody types a password for nothing. */
async function testLogin(
  client: AdminClient,
  question: RouteQuestion,
  readPassword: Terminal['readPassword'],
): Promise<Answer> {
  await client.explain(question)
  const password = await readPassword()
  if (password === undefined) throw new Unanswered('no password on standard input')
  return client.testLogin(question, new Secret(password))
}
