/** The guessers or the users of `guessing.ts`, each in a process of its own, so that the time of a user's login is not that of the guessers' event loop. */
import { pace, visit, type Visit } from './guess-wire.ts'

export type ClientsOrder = {
  who: 'guessers' | 'users'
  port: number
  perSecond: number
  seconds: number
  /** of guessers */
  addresses: number
  /** the names that are guessed at, or the users */
  names: number
  withinMs: number
}

/** `answers`: how many of each, without what differs from one to the next; `ms`: of the logins that were accepted */
export type ClientsAnswer = { answers: Record<string, number>; ms: number[] }

function userVisit(n: number, { port, names, withinMs }: ClientsOrder): Visit {
  const one = n % names
  return { port, withinMs, balancer: '127.0.2.1', address: `192.0.2.${one}`, user: `user${one}`, password: 'secret' }
}

function guesserVisit(n: number, { port, names, addresses, withinMs }: ClientsOrder): Visit {
  const one = n % addresses
  return {
    port,
    withinMs,
    balancer: `127.0.1.${(n % 16) + 1}`,
    address: `10.${one >> 16}.${(one >> 8) & 255}.${one & 255}`,
    user: `user${Math.floor(Math.random() * names)}`,
    password: `guess${n}`,
  }
}

async function carryOut(order: ClientsOrder): Promise<ClientsAnswer> {
  const answers: Record<string, number> = {}
  const took: number[] = []
  const visitOf = order.who === 'users' ? userVisit : guesserVisit
  await pace(order.perSecond, order.seconds, async (n) => {
    const { answer, ms } = await visit(visitOf(n, order))
    if (answer.startsWith('a OK')) took.push(ms)
    const kind =
      answer === '' ? 'no answer in time' : (/^(a OK|a NO \[[A-Z]+\]|\* BYE.*|error: .*)/.exec(answer)?.[0] ?? answer)
    answers[kind] = (answers[kind] ?? 0) + 1
  })
  return { answers, ms: took }
}

process.on('message', (order: ClientsOrder) => {
  void carryOut(order).then((answer) => process.send?.({ ok: true, ...answer }))
})
process.on('disconnect', () => process.exit(0))
process.send?.({ ok: true, answers: {}, ms: [] })
