/** IMAP clients that never stop: sessions that run commands one after the other, and logins at a steady pace. What goes wrong is counted. */
import { setTimeout as pass } from 'node:timers/promises'
import type { MailClient } from './mail-client.ts'

export type Tally = {
  /** connections, and how many of them found no listener or no greeting */
  connections: number
  refused: number
  logins: number
  failed: number
  commands: number
  /** sessions that ended although their client had not asked for it */
  cut: number
  /** what the first errors were */
  errors: string[]
}

export type SteadyClients = { tally: Tally; stop: () => Promise<Tally> }

/** Between two commands of one session. */
const COMMAND_EVERY_MS = 50
/** Errors that are kept with their text. */
const MOST_ERRORS = 10

/**
 * @param open connects, and reads the greeting
 * @param user logs in with `password`
 */
export async function startSteadyClients(
  open: () => Promise<MailClient>,
  {
    user,
    password,
    sessions,
    loginsPerSecond,
  }: { user: string; password: string; sessions: number; loginsPerSecond: number },
): Promise<SteadyClients> {
  const tally: Tally = { connections: 0, refused: 0, logins: 0, failed: 0, commands: 0, cut: 0, errors: [] }
  const stopping = new AbortController()
  const isOver = (): boolean => stopping.signal.aborted

  function note(what: 'refused' | 'failed' | 'cut', error: unknown): void {
    tally[what]++
    const text = error instanceof Error ? error.message : String(error)
    if (tally.errors.length < MOST_ERRORS) tally.errors.push(`${what}: ${text.slice(0, 300)}`)
  }

  async function logIn(): Promise<MailClient | undefined> {
    tally.connections++
    const client = await open().catch((error: unknown) => note('refused', error))
    if (!client) return undefined
    tally.logins++
    const outcome = await client
      .login(user, password)
      .catch((error: unknown) => ({ accepted: false, answer: String(error) }))
    if (outcome.accepted) return client
    note('failed', outcome.answer)
    client.peer.destroy()
    return undefined
  }

  async function work(client: MailClient): Promise<void> {
    try {
      while (!isOver()) {
        await client.subjects()
        tally.commands += 2
        await pass(COMMAND_EVERY_MS)
      }
      await client.quit()
    } catch (error) {
      note('cut', error)
    }
  }

  async function visit(): Promise<void> {
    const client = await logIn()
    await client?.quit().catch((error: unknown) => note('cut', error))
  }

  const running: Promise<void>[] = []
  for (let count = 0; count < sessions; count++) {
    const client = await logIn()
    if (client) running.push(work(client))
  }
  async function keepComing(): Promise<void> {
    const visits = new Set<Promise<void>>()
    while (!isOver()) {
      const one: Promise<void> = visit().finally(() => visits.delete(one))
      visits.add(one)
      await pass(1000 / loginsPerSecond)
    }
    await Promise.all(visits)
  }
  running.push(keepComing())
  return {
    tally,
    async stop() {
      stopping.abort()
      await Promise.all(running)
      return tally
    },
  }
}
