/** `mailmux explain`: every decision on the way of a login, asked of the running mailmux; with `--login` the login itself. */
import type { RouteAnswer, LoginTestAnswer } from '../admin/answers.ts'
import type { RouteQuestion } from '../admin/api.ts'
import { Unanswered, type AdminClient } from '../admin/client.ts'
import type { ProtocolName } from '../protocol/registry.ts'
import { Secret } from '../secret.ts'
import { askRunning, formatJson, type Terminal } from './ask-running.ts'
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
    for (const line of json ? formatJson(answer) : formatExplanation(answer, Date.now())) out(line)
    const isUsable = [answer, ...(answer.otherWorkers ?? [])].every(({ usable }) => usable)
    return (answer.trial?.accepted ?? isUsable) ? 0 : 1
  })
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
