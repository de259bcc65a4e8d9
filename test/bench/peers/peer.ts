/** What the bench asks of a peer: to be started in front of the sink, configured as its users would for one worker. */
import type { Leaf } from '../../support/certificates.ts'
import { START_DEADLINE_MS, until } from '../../support/deadline.ts'
import { startProgram } from '../../support/processes.ts'
import type { Scene } from '../../support/scene.ts'

export type Surroundings = {
  scene: Scene
  sinkPort: number
  /** ECDSA P-256, for `localhost` */
  certificate: Leaf
  /** for mailmux alone: options of node itself, such as --cpu-prof */
  nodeOptions: string[]
}

export type RunningPeer = {
  /** the process whose whole tree is measured; undefined: nothing is */
  pid: number | undefined
  /** undefined: the peer does not do that */
  ports: { clear: number | undefined; tls: number | undefined }
  stop: () => Promise<void>
}

export type Peer = {
  name: string
  /** Debian packages that it needs, installed when missing */
  packages: string[]
  version: () => Promise<string>
  /** Starts a fresh instance; throws with the program's own words when it fails. */
  start: (around: Surroundings) => Promise<RunningPeer>
}

/** Starts a proxy with its log in /dev/null, and waits until `isReady`. What it writes on stderr is kept for the message of a failure. */
export async function startProxy(
  scene: Scene,
  name: string,
  command: string[],
  isReady: () => Promise<boolean>,
): Promise<Pick<RunningPeer, 'pid' | 'stop'>> {
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
