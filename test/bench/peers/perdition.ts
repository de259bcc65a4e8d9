/** perdition, a program for each port and a process for each connection; users go to its default server, so that no map is read. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { freePort } from '../../support/ports.ts'
import { listProcesses, signalAll } from '../../support/process-tree.ts'
import { type Door, isBound, type Peer, startProxy, type PeerSetup } from './peer.ts'

const run = promisify(execFile)

/** Debian keeps perdition where only root's PATH looks. */
const PROGRAM = '/usr/sbin/perdition'

const PROTOCOLS: Record<Door, string> = { imap: 'IMAP4', imaps: 'IMAP4S', pop3: 'POP3' }

function buildCommand({ backend, certificate }: PeerSetup, door: Door, port: number): string[] {
  const backendPort = door === 'pop3' ? backend.pop3 : backend.imap
  return [
    ...[PROGRAM, '--no_daemon', '--pid_file', '', '--log_facility', '/dev/null'],
    ...['--protocol', PROTOCOLS[door], '--bind_address', '127.0.0.1', '--listen_port', String(port)],
    // the map: none; the addresses of clients: not looked up
    ...['--map_library', '', '--no_lookup', '--outgoing_server', `127.0.0.1:${backendPort}`],
    ...(door === 'imaps'
      ? ['--ssl_mode', 'ssl_listen', '--ssl_cert_file', certificate.certFile, '--ssl_key_file', certificate.keyFile]
      : ['--ssl_mode', 'none']),
  ]
}

export const perdition: Peer = {
  name: 'perdition',
  packages: ['perdition'],
  isCompiled: true,
  remark: 'a process for each connection; LOGIN and USER alone',
  mostSessions: 3000, // as many processes; 10,000 would be most of what a kernel has numbers for
  version: async () => {
    const { stdout, stderr } = await run('dpkg-query', ['-W', '-f', '${Version}', 'perdition'])
    return stdout || stderr
  },
  async start(around) {
    const ports = { imap: await freePort(), imaps: await freePort(), pop3: await freePort() }
    const running: { pid: number; stop: () => Promise<void> }[] = []
    for (const door of ['imap', 'imaps', 'pop3'] as const) {
      const command = buildCommand(around, door, ports[door])
      running.push(await startProxy(around.scene, 'perdition', command, () => isBound(ports[door])))
    }
    return {
      pids: running.map(({ pid }) => pid),
      ports,
      stop: async () => {
        for (const { pid, stop } of running) {
          // Its sessions outlive it, and hold the pipe that its end is seen by.
          const [, ...sessions] = listProcesses(pid)
          const stopped = stop()
          signalAll(sessions, 'SIGTERM')
          await stopped
        }
      },
    }
  },
}
