/**
 * Takes the place of the mailmux that runs with the same `admin` (`mailmux run --replace`), where its sockets cannot be inherited: everything
 * is ready but the ports, then the running one releases them, and this process binds at once.
 */
import { Agent, request, type IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { errorAnswer } from '../admin/answers.ts'
import { releaseAnswer } from '../admin/release-routes.ts'
import { findSocket } from '../admin/find-admin.ts'
import { addressOf, placeName, type AdminEndpoint } from '../admin/transport.ts'
import { reachable } from '../config/load-admin.ts'
import type { AdminSettings, Settings } from '../config/settings.ts'
import { systemCode } from '../errors.ts'
import { portsOf, type OpenPort } from '../listener/ports.ts'
import type { Log } from '../log.ts'
import type { AdminDoors } from './admin-doors.ts'
import type { WorkerPool } from './worker-pool.ts'

/** Workers that are busy close their ports late. */
const ANSWER_MS = 15_000
/** An answer has a version and a process, or an error. */
const MAX_ANSWER_LENGTH = 100_000

/** @returns where the running mailmux is asked. @throws Error with a message for the operator */
export function findReplaced(admin: Settings['admin']): AdminSettings {
  if (admin?.token ?? (admin?.socket && existsSync(admin.socket.file))) return admin
  throw new Error(
    '--replace: the configuration needs admin.token_file, or the running mailmux a Unix socket, with which it is asked',
  )
}

type Parts = {
  /** built with settings without ports */
  pool: Pick<WorkerPool, 'start' | 'prepare' | 'abandon'>
  settings: Settings
  log: Pick<Log, 'info'>
  adminDoors: Pick<AdminDoors, 'openSocket'>
}

/** @returns the ports, which are served. @throws Error for the operator; the running mailmux has its ports again then */
export async function startInPlaceOf(
  admin: AdminSettings,
  { pool, settings, log, adminDoors }: Parts,
): Promise<OpenPort[]> {
  await pool.start()
  const { token } = admin
  const running = createAsker((await findSocket(admin.socket, settings.files.main)) ?? { ...reachable(admin), token })
  try {
    const released = await running.ask('/api/v1/release')
    const askedMs = performance.now()
    const late = await (await pool.prepare(settings)).commit()
    if (late.length > 0) throw new Error(`worker ${late.join(' and ')} does not open the ports`)
    if (released !== undefined) {
      const { pid, version, socket } = releaseAnswer.parse(released)
      // Before the other one ends, so that there always is a socket.
      await adminDoors.openSocket(admin, { takenOver: socket })
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
function createAsker(place: AdminEndpoint): { ask: (path: string) => Promise<unknown>; close: () => void } {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const at = placeName(place)
  const token = 'file' in place ? undefined : place.token

  async function send(path: string): Promise<{ status: number; text: string } | undefined> {
    const headers = token && { authorization: `Bearer ${token.reveal()}` }
    const question = request({
      ...addressOf(place),
      path,
      method: 'POST',
      ...(headers && { headers }),
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
      if (['ECONNREFUSED', 'ENOENT'].includes(systemCode(error))) return undefined
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
