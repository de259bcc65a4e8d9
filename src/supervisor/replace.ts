/**
 * Takes the place of the mailmux that runs with the same `admin` (`mailmux run --replace`), where its sockets cannot be inherited: everything
 * is ready but the ports, then the running one releases them, and this process binds at once.
 */
import { Agent, request, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { errorAnswer } from '../admin/answers.ts'
import { releaseAnswer } from '../admin/release-routes.ts'
import { reachable, type AdminPlace } from '../config/load-admin.ts'
import type { Settings } from '../config/settings.ts'
import { systemCode } from '../errors.ts'
import { portsOf, type OpenPort } from '../listener/ports.ts'
import type { Log } from '../log.ts'
import { hostPort } from '../net/address.ts'
import type { WorkerPool } from './worker-pool.ts'

/** Workers that are busy close their ports late. */
const ANSWER_MS = 15_000
/** An answer has a version and a process, or an error. */
const MAX_ANSWER_LENGTH = 100_000

export type Replaced = AdminPlace & { token: NonNullable<AdminPlace['token']> }

/** @returns where the running mailmux is asked. @throws Error with a message for the operator */
export function findReplaced(admin: Settings['admin']): Replaced {
  if (admin?.token) return { ...reachable(admin), token: admin.token }
  throw new Error('--replace: the configuration needs admin.token_file, with which the running mailmux is asked')
}

type Parts = {
  /** built with settings without ports */
  pool: Pick<WorkerPool, 'start' | 'prepare' | 'abandon'>
  settings: Settings
  log: Pick<Log, 'info'>
}

/** @returns the ports, which are served. @throws Error for the operator; the running mailmux has its ports again then */
export async function startInPlaceOf(place: Replaced, { pool, settings, log }: Parts): Promise<OpenPort[]> {
  await pool.start()
  const running = createAsker(place)
  try {
    const released = await running.ask('/api/v1/release')
    const askedMs = performance.now()
    const late = await (await pool.prepare(settings)).commit()
    if (late.length > 0) throw new Error(`worker ${late.join(' and ')} does not open the ports`)
    if (released !== undefined) {
      const { pid, version } = releaseAnswer.parse(released)
      await running.ask('/api/v1/release/confirm')
      log.info({ pid, version, ms: Math.round(performance.now() - askedMs) }, 'ports taken from the running mailmux')
    }
  } catch (error) {
    pool.abandon()
    throw error
  } finally {
    running.close()
  }
  return portsOf(settings).flatMap(({ name, listen }) =>
    listen.map(({ host, port }) => ({ listener: name, host, port })),
  )
}

/** Both questions go over one connection: the running mailmux takes its ports again at the end of it. */
function createAsker({ host, port, token }: Replaced): { ask: (path: string) => Promise<unknown>; close: () => void } {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const at = hostPort(host, port)

  async function send(path: string): Promise<{ status: number; text: string } | undefined> {
    const headers = { authorization: `Bearer ${token.reveal()}` }
    const question = request({
      host,
      port,
      path,
      method: 'POST',
      headers,
      agent,
      signal: AbortSignal.timeout(ANSWER_MS),
    })
    question.on('error', () => undefined) // the wait below reports it
    question.end()
    try {
      const [response] = (await once(question, 'response')) as [IncomingMessage]
      let text = ''
      for await (const piece of response.setEncoding('utf8')) {
        text += String(piece)
        if (text.length > MAX_ANSWER_LENGTH) throw new Error('its answer has no end')
      }
      return { status: response.statusCode ?? 0, text }
    } catch (error) {
      if (systemCode(error) === 'ECONNREFUSED') return undefined
      throw new Error(`--replace: the mailmux at ${at} does not answer: ${systemCode(error)}`, { cause: error })
    }
  }

  return {
    /** @returns undefined if no mailmux runs */
    async ask(path) {
      const answer = await send(path)
      if (!answer) return undefined
      const json = parseJson(answer.text)
      if (answer.status === 200) return json
      const refused = errorAnswer.safeParse(json)
      throw new Error(
        refused.success
          ? `--replace: the running mailmux refuses: ${refused.data.error}`
          : `--replace: ${at} answers as no mailmux of this version does (HTTP ${answer.status})`,
      )
    },
    close: () => agent.destroy(),
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
