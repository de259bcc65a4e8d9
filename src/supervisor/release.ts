/**
 * Releases the ports of this process to another one that takes its place (`mailmux run --replace`). Until the other one has confirmed that it
 * has them, this process takes them again as soon as the other one ends. Sessions are not touched.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ReleaseParts } from '../admin/release-routes.ts'
import type { Settings } from '../config/settings.ts'
import type { Log } from '../log.ts'
import type { WorkerPool } from './worker-pool.ts'

/** The other process may need a moment to end, and its sockets with it. */
const AGAIN_MS = 50

export type PortReleaseParts = {
  pool: Pick<WorkerPool, 'prepare' | 'closePorts'>
  /** the settings in force */
  settings: () => Settings
  /** why the ports cannot be released now */
  whyNotNow: () => string | undefined
  /** The instance is not ready from now on; `undefined`: it is again. */
  setNotReady: (why: string | undefined) => void
  /** The other process has the ports. This one ends. */
  retire: () => void
  /** the Unix socket of the admin HTTP */
  socket?: () => string | undefined
  version: string
  pid: number
  stopping: AbortSignal
  log: Pick<Log, 'info' | 'warn' | 'error'>
}

export type PortRelease = ReleaseParts['release'] & {
  /** No reload may open ports then. */
  isReleased: () => boolean
}

/** The same settings for a process that has no port of them open. */
export function withoutPorts(settings: Settings): Settings {
  return { ...settings, listeners: [], delivery: undefined }
}

export function createRelease(parts: PortReleaseParts): PortRelease {
  const { pool, settings, whyNotNow, setNotReady, retire, version, pid, stopping, log } = parts
  let state: 'held' | 'released' | 'confirmed' = 'held'
  const hasEnded = (): boolean => state === 'confirmed' || stopping.aborted

  /** A worker that is late opens them as soon as it reads. */
  async function openAgain(): Promise<void> {
    const prepared = await pool.prepare(settings())
    await prepared.commit()
  }

  /** Clients are refused from now on, so that nothing else delays the answer: workers get no new settings. */
  async function closeAll(): Promise<void> {
    const late = await pool.closePorts()
    if (late.length > 0) throw new Error(`worker ${late.join(' and ')} does not answer, and may have ports open`)
  }

  async function takeAgain(): Promise<void> {
    for (let tries = 0; !hasEnded(); tries++) {
      try {
        await openAgain()
        state = 'held'
        setNotReady(undefined)
        log.warn('ports taken again')
        return
      } catch (error) {
        const detail = error instanceof Error ? error.message : String(error)
        if (tries === 0) log.error({ detail }, 'ports cannot be taken again yet')
        await sleep(AGAIN_MS)
      }
    }
  }

  return {
    async order(gone) {
      const why = state === 'held' ? whyNotNow() : 'the ports are released already'
      if (why !== undefined) return { error: why }
      state = 'released'
      setNotReady('another process takes the ports')
      try {
        await closeAll()
      } catch (error) {
        await takeAgain()
        return { error: error instanceof Error ? error.message : String(error) }
      }
      log.info('ports released')
      const onGone = (): void => {
        if (state === 'released') void takeAgain()
      }
      if (gone.aborted) onGone()
      else gone.addEventListener('abort', onGone)
      const socket = parts.socket?.()
      return { pid, version, ...(socket !== undefined && { socket }) }
    },
    confirm() {
      if (state !== 'released') return false
      state = 'confirmed'
      retire()
      return true
    },
    isReleased: () => state === 'released',
  }
}
