/** HAProxy in TCP mode, one thread: it terminates TLS and parses nothing, so it is the floor of what a proxy can cost. */
import { execFile } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '../../support/ports.ts'
import { type Door, isBound, type Peer, startProxy, type PeerSetup } from './peer.ts'

const run = promisify(execFile)

/** Debian keeps HAProxy where only root's PATH looks. */
const PROGRAM = '/usr/sbin/haproxy'

/** A line a session in the log, as mailmux writes one; as many connections as the limit of open files allows. HAProxy takes certificate and key from one file. */
function buildConfiguration({ backend }: PeerSetup, ports: Record<Door, number>, certificateFile: string): string {
  return `
global
  nbthread 1
  log stdout format raw local0 info
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode tcp
  log global
  option tcplog
  timeout connect 5s
  timeout client 31m
  timeout server 31m
listen imap
  bind 127.0.0.1:${ports.imap} backlog 4096
  server sink 127.0.0.1:${backend.imap}
listen imaps
  bind 127.0.0.1:${ports.imaps} backlog 4096 ssl crt ${certificateFile}
  server sink 127.0.0.1:${backend.imap}
listen pop3
  bind 127.0.0.1:${ports.pop3} backlog 4096
  server sink 127.0.0.1:${backend.pop3}
`
}

export const haproxy: Peer = {
  name: 'haproxy',
  packages: ['haproxy'],
  isCompiled: true,
  remark: 'one process, one thread; knows no users: all go to the one back end',
  version: async () => {
    const { stdout } = await run(PROGRAM, ['-v'])
    return /version (\S+)/.exec(stdout)?.[1] ?? 'unknown'
  },
  async start(around) {
    const ports = { imap: await freePort(), imaps: await freePort(), pop3: await freePort() }
    const file = join(around.scene.directory, `haproxy-${ports.imap}.cfg`)
    const certificateFile = join(around.scene.directory, `haproxy-${ports.imap}.pem`)
    await writeFile(certificateFile, around.certificate.cert + around.certificate.key)
    await writeFile(file, buildConfiguration(around, ports, certificateFile))
    const isReady = () => isBound(ports.pop3)
    const { pid, stop } = await startProxy(around.scene, 'haproxy', [PROGRAM, '-db', '-f', file], isReady)
    return { pids: [pid], ports, stop }
  },
}
