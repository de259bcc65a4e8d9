/** `mailmux explain`: every decision on the way of a login, asked of the running mailmux; with `--login` the login itself. */
import type { RouteAnswer, LoginTestAnswer } from '../admin/answers.ts'
import type { RouteQuestion } from '../admin/api.ts'
import { Unanswered, type AdminClient } from '../admin/client.ts'
import { loadConfig } from '../config/load.ts'
import type { ProtocolName } from '../protocol/registry.ts'
import { Secret } from '../secret.ts'
import { askRunning, formatJson, type Terminal } from './ask-running.ts'
import { isWithoutRoute, type KnownRoutes } from './explain-next.ts'
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

export type PasswordTerminal = Terminal & {
  /** undefined where none is given */
  readPassword: () => Promise<string | undefined>
}

type Answer = RouteAnswer & { trial?: LoginTestAnswer }

/** @returns the exit code: 0 where a login gets to a back end at every worker (with `--login`: is accepted there), 1 where not, 2 where there is no answer */
export async function explain(user: string, options: ExplainOptions, terminal: PasswordTerminal): Promise<number> {
  const { out, readPassword } = terminal
  const { config, protocol, listener, sni: serverName, ip: address, login, json } = options
  const question = { user, protocol, listener, serverName, address }
  return askRunning('mailmux explain', config, terminal, async (client) => {
    const answer: Answer = login ? await testLogin(client, question, readPassword) : await client.explain(question)
    const known = !json && isWithoutRoute(answer) ? readKnownRoutes(config, terminal) : undefined
    for (const line of json ? formatJson(answer) : formatExplanation(answer, Date.now(), known)) out(line)
    const isUsable = [answer, ...(answer.otherWorkers ?? [])].every(({ usable }) => usable)
    return (answer.trial?.accepted ?? isUsable) ? 0 : 1
  })
}

/** The files may have changed since mailmux has read them, and this user may lack the right to read them: a help, no more. */
function readKnownRoutes(config: string, { env }: Terminal): KnownRoutes {
  const { settings } = loadConfig(config, env)
  if (!settings) return undefined
  const { users, domains, placement, aliases } = settings.routing
  const ofUsers = Array.from(users.keys(), (user) => user.slice(user.lastIndexOf('@') + 1))
  const known = new Set([...domains.keys(), ...placement.domains.keys(), ...aliases.keys(), ...ofUsers])
  return { domains: known, hasRedis: settings.directory.kind === 'redis' }
}

/** Asks for the route first, so that no password is typed if there is no route. */
async function testLogin(
  client: AdminClient,
  question: RouteQuestion,
  readPassword: PasswordTerminal['readPassword'],
): Promise<Answer> {
  await client.explain(question)
  const password = await readPassword()
  if (password === undefined) throw new Unanswered('no password on standard input')
  return client.testLogin(question, new Secret(password))
}
