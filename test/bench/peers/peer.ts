/** What the bench asks of a peer: to be started in front of a back end, configured as its users would for one worker. */
import type { Leaf } from '../../support/certificates.ts'
import { START_DEADLINE_MS, until } from '../../support/deadline.ts'
import { isFree } from '../../support/ports.ts'
import { startProgram } from '../../support/processes.ts'
import type { Scene } from '../../support/scene.ts'

/** Where clients come in; the `s` is for TLS from the first byte. */
export type Door = 'imap' | 'imaps' | 'pop3'

export type PeerSetup = {
  scene: Scene
  /** the back end's ports, on 127.0.0.1 and in clear */
  backend: { imap: number; pop3: number }
  /** ECDSA P-256, for `localhost` */
  certificate: Leaf
  /** for mailmux and the minimal relay on Node alone: options of node itself, such as --cpu-prof */
  nodeOptions: string[]
}

export type RunningPeer = {
  /** the processes whose whole trees are measured; none: nothing is */
  pids: number[]
  /** a door that is missing is one that the peer does not have */
  ports: Partial<Record<Door, number>>
  /** at the port for IMAP in clear, before anything else */
  expectsProxyHeader?: true
  /** what the tables' readers should know of this instance's past: one line */
  account?: () => Promise<string>
  stop: () => Promise<void>
}

export type Peer = {
  name: string
  /** Debian packages that it needs, installed when missing */
  packages: string[]
  /** how many processes do its work, and what does not compare */
  remark: string
  /** its first operations cost what later ones do: it needs no warm-up */
  isCompiled?: true
  /** more than so many sessions are not asked of it: fewer than the limit of open files leaves room for */
  mostSessions?: number
  version: () => Promise<string>
  /** Starts a fresh instance; throws with the program's own words when it fails. */
  start: (around: PeerSetup) => Promise<RunningPeer>
}

/** Starts a proxy with its log in /dev/null, and waits until `isReady`. What it writes on stderr is kept for the message of a failure. */
export async function startProxy(
  scene: Scene,
  name: string,
  command: string[],
  isReady: () => Promise<boolean>,
): Promise<{ pid: number; stop: () => Promise<void> }> {
  // the shell becomes the proxy: the pid stays the same, and nobody has to read a pipe during the measure
  const args = ['-c', 'exec "$0" "$@" >/dev/null', ...command]
  const program = startProgram(scene, { name, command: 'sh', args, cwd: scene.directory })
  const look = async () => {
    const exit = program.exit()
    if (exit !== undefined) throw new Error(`${name} ended (${exit.code ?? exit.signal}): ${program.stderr()}`)
    return (await isReady()) || undefined
  }
  await until(START_DEADLINE_MS, look, () => `${name} is not ready: ${program.stderr()}`)
  return {
    pid: program.pid,
    stop: async () => {
      await program.stop()
    },
  }
}

/** Whether somebody listens there. */
export async function isBound(port: number): Promise<boolean> {
  return !(await isFree(port))
}
