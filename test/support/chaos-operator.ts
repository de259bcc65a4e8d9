/** Carries out the orders of operators, and records what was ordered and when it was in force. */
import { setTimeout as pass } from 'node:timers/promises'
import { randomBytes } from 'node:crypto'
import { endedAnswer } from '../../src/admin/answers.ts'
import { MOVED, ROUTED, type Order } from './chaos-orders.ts'
import type { Cleared, Kick, RouteChange, Trouble } from './chaos-routes.ts'
import { CHAOS_TOKEN, type ChaosSite } from './chaos-site.ts'
import { MAIN, NODE_OF_COMMAND } from './command.ts'
import { type Program, startProgram } from './processes.ts'
import { openVisit } from './scene.ts'
import { STORES } from './site.ts'

const PREFIX = 'mailmux:'
/** Pause before a command that Redis has not answered is given again. */
const AGAIN_MS = 100
/** A move has a limit for each of its steps; none of them takes so long with the limits of this site. */
const MOVE_MS = 150_000
/** The last copy takes longer than a session may be seen after its end. */
const COPY = '[ "$MAILMUX_PASS" = 1 ] || sleep 2'

export type Operator = ReturnType<typeof createOperator>

/** @param nowMs the clock of the record */
export function createOperator(site: ChaosSite, nowMs: () => number) {
  const changes: RouteChange[] = []
  const kicks: Kick[] = []
  /** times in which logins may wait for a state that an operator has set */
  const waits: Trouble[] = []
  const problems: string[] = []
  const cleared: Cleared[] = []
  /** what came of each move */
  const outcomes: string[] = []
  const count = { states: 0, routes: 0, holds: 0, kicks: 0, moved: 0, notMoved: 0, movesKilled: 0 }
  const [redis] = site.redises

  /** Redis may be away: the operator tries until there is an answer. */
  async function command(...words: string[]): Promise<string> {
    for (;;) {
      const answer = await redis!.command(...words).catch(() => 'away')
      if (!/^(away|\(error\)|[A-Z]+ .*)/.test(answer)) return answer
      await pass(AGAIN_MS)
    }
  }

  async function write(user: string, store: string | undefined, ...words: string[]): Promise<RouteChange> {
    const change: RouteChange = { user, store, sentMs: nowMs(), ackedMs: Infinity }
    changes.push(change)
    await command(...words)
    change.ackedMs = nowMs()
    return change
  }

  const key = (user: string): string => `${PREFIX}user:${user}`
  const storeOf = (user: string): string | undefined =>
    changes.findLast((change) => change.user === user && change.store !== undefined)?.store

  async function setState({ store, state, forMs }: Extract<Order, { kind: 'state' }>): Promise<void> {
    count.states++
    const wait: Trouble = { target: store, fromMs: nowMs(), toMs: Infinity }
    waits.push(wait)
    await command('HSET', `${PREFIX}backend:${store}`, 'state', state, 'over', '2s')
    await pass(forMs)
    await command('DEL', `${PREFIX}backend:${store}`)
    wait.toMs = nowMs()
  }

  async function setHold({ user, how, forMs }: Extract<Order, { kind: 'hold' }>): Promise<void> {
    count.holds++
    const store = storeOf(user)
    const token = randomBytes(16).toString('hex')
    const till = Math.ceil((Date.now() + forMs) / 1000)
    const field = how === 'endless' ? [] : ['hold', `${token} ${how === 'token' ? till + 60 : till}`]
    await command('HDEL', key(user), 'status', 'hold') // what an expired hold has left
    await write(user, undefined, 'HSET', key(user), 'status', 'hold', ...field)
    if (how !== 'expiring') {
      await pass(forMs)
      await write(user, store, 'HDEL', key(user), 'status', 'hold')
      return
    }
    // Redis may have been away for longer than the hold lasts.
    const endMs = nowMs() + till * 1000 - Date.now()
    changes.push({ user, store, sentMs: endMs, ackedMs: endMs })
    await pass(Math.max(0, endMs - nowMs()))
  }

  async function kick(user: string): Promise<void> {
    count.kicks++
    const { ports } = site.instances[count.kicks % site.instances.length]!
    const url = new URL(`http://127.0.0.1:${ports.admin}/api/v1/sessions`)
    url.searchParams.set('user', user)
    const sentMs = nowMs()
    const response = await fetch(url, { method: 'DELETE', headers: { authorization: `Bearer ${CHAOS_TOKEN}` } })
    if (response.status !== 200) {
      if (response.status !== 503) problems.push(`a kick was answered with ${response.status}`)
      return
    }
    const { scope, incomplete, silent, lost, instances = [] } = endedAnswer.parse(await response.json())
    const isWhole =
      scope === 'all' && ![incomplete, silent, lost, ...instances.map((one) => one.incomplete)].some(Boolean)
    if (isWhole && instances.length === site.instances.length) kicks.push({ user, sentMs, answeredMs: nowMs() })
  }

  /** Until it ends, the route is the old one or the new one; afterwards it is what the directory says. */
  async function move({ user, by, killMs }: Extract<Order, { kind: 'move' }>): Promise<void> {
    const from = storeOf(user)
    const store = STORES[(STORES.findIndex((name) => name === from) + by) % STORES.length]!
    const sentMs = nowMs()
    const during = (to: string | undefined): RouteChange => ({ user, store: to, sentMs, ackedMs: Infinity })
    const change = during(store)
    changes.push(change)
    const copy: Cleared = { user, store: from!, fromMs: Infinity, toMs: Infinity }
    cleared.push(copy)
    let program: Program
    let kill: NodeJS.Timeout | undefined
    const hear = (line: string): void => {
      // How long the start takes depends on the machine. The first line says that the move has begun.
      if (killMs !== undefined) kill ??= setTimeout(() => program.signal('SIGKILL'), killMs)
      if (/^end +done/.test(line)) copy.fromMs = nowMs()
    }
    const scene = openVisit(site.scene)
    try {
      const [node = '', ...options] = NODE_OF_COMMAND
      const args = [...options, MAIN, 'move', user, store, '--run', COPY, '-c', site.instances[0]!.configFile]
      program = startProgram(scene, { name: 'move', command: node, args, show: hear })
      const late = setTimeout(() => {
        problems.push(`a move of ${user} takes too long: ${program.stdout()}${program.stderr()}`)
        program.signal('SIGKILL')
      }, MOVE_MS)
      const { code, signal } = await program.exited
      clearTimeout(kill)
      clearTimeout(late)
      const endedMs = nowMs()
      copy.toMs = endedMs
      const said = (signal ?? `${program.stdout()}${program.stderr()}`.trim().split('\n').at(-1)) || `exit ${code}`
      outcomes.push(`move ${user} ${from} to ${store} ${Math.round(sentMs)} to ${Math.round(endedMs)} ms: ${said}`)
      if (signal !== null) {
        count.movesKilled++
        await endHoldOf(user)
      } else if (code === 0) count.moved++
      else count.notMoved++
      if (code !== null && ![0, 1, 2, 75].includes(code)) problems.push(`move ended with ${code}: ${program.stderr()}`)
      const now = await command('HGET', key(user), 'backend')
      if (code === 0 && now !== store) problems.push(`${user} was moved to ${store}, and the route names ${now}`)
      if (code === 1 && now !== from && !program.stderr().includes('the route is not known'))
        problems.push(`${user} was not moved, and the route names ${now} in place of ${from}`)
      if (now === store) change.ackedMs = signal === null ? endedMs : nowMs()
      else {
        change.ackedMs = sentMs
        changes.push({ user, store: now, sentMs, ackedMs: nowMs() })
      }
    } finally {
      await scene.close()
    }
  }

  /** A killed move leaves a hold that runs out after a minute. This lets its time pass, unless the route was switched before. */
  async function endHoldOf(user: string): Promise<void> {
    const script = `local h = redis.call('HGET', KEYS[1], 'hold')
      if h then redis.call('HSET', KEYS[1], 'hold', string.match(h, '^%S+') .. ' ' .. (redis.call('TIME')[1] - 1)) end
      return 1`
    await command('EVAL', script, '1', key(user))
  }

  return {
    changes,
    kicks,
    waits,
    problems,
    cleared,
    outcomes,
    count,
    /** The back end of the last route that was written. */
    storeOf,
    /** Ends what a killed move has left: a script that Redis had not run when the process died may run later. */
    async finish(): Promise<void> {
      for (const user of MOVED) await endHoldOf(user)
    },
    /** Gives each user a first route. */
    async begin(): Promise<void> {
      for (const [index, user] of [...ROUTED, ...MOVED].entries()) {
        const store = STORES[index % STORES.length]
        await write(user, store, 'HSET', key(user), 'backend', store!)
      }
    },
    async carryOut(order: Order): Promise<void> {
      switch (order.kind) {
        case 'state':
          return setState(order)
        case 'route':
          count.routes++
          await write(order.user, order.store, 'HSET', key(order.user), 'backend', order.store)
          return
        case 'hold':
          return setHold(order)
        case 'kick':
          return kick(order.user)
        case 'move':
          return move(order)
      }
    },
  }
}
