/** mailmux from this checkout, run as `make run` runs it: on the node of this process, one worker, routes of the static directory. */
import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { freePort } from '../../support/ports.ts'
import { type Peer, startProxy, type Surroundings } from './peer.ts'

const run = promisify(execFile)

const CHECKOUT = join(import.meta.dirname, '../../..')

type Ports = { clear: number; tls: number; admin: number }

function buildConfiguration({ certificate }: Surroundings, ports: Ports): string {
  return `
hostname: localhost
listeners:
  - {name: imap, protocol: imap, listen: ["127.0.0.1:${ports.clear}"], tls: none, allow_plaintext_auth: true}
  - {name: imaps, protocol: imap, listen: ["127.0.0.1:${ports.tls}"], tls: implicit}
tls:
  certificates:
    - {cert: ${certificate.certFile}, key: ${certificate.keyFile}}
directory:
  static: {}
routing: routing.yaml
admin: {listen: "127.0.0.1:${ports.admin}"}
log: {level: info, format: json}
`
}

/** The users of the load share one route by domain. */
function buildRouting({ sinkPort }: Surroundings): string {
  return `
backends:
  sink: {host: 127.0.0.1, imap: ${sinkPort}, tls: none}
domains:
  example.test: {backend: sink}
`
}

async function isReady(adminPort: number): Promise<boolean> {
  try {
    const response = await fetch(`http://127.0.0.1:${adminPort}/readyz`)
    await response.arrayBuffer()
    return response.ok
  } catch {
    return false
  }
}

async function readCommit(): Promise<string> {
  try {
    const { stdout: commit } = await run('git', ['rev-parse', '--short=12', 'HEAD'], { cwd: CHECKOUT })
    const { stdout: changes } = await run('git', ['status', '--porcelain', '--', 'src'], { cwd: CHECKOUT })
    return changes === '' ? commit.trim() : `${commit.trim()} with changes`
  } catch {
    return 'not committed'
  }
}

export const mailmux: Peer = {
  name: 'mailmux',
  packages: [],
  version: async () => `${await readCommit()} on node ${process.version}`,
  async start(around) {
    const ports = { clear: await freePort(), tls: await freePort(), admin: await freePort() }
    const directory = join(around.scene.directory, `mailmux-${ports.clear}`)
    await mkdir(directory)
    const file = join(directory, 'mailmux.yaml')
    await writeFile(file, buildConfiguration(around, ports))
    await writeFile(join(directory, 'routing.yaml'), buildRouting(around))
    const command = [process.execPath, ...around.nodeOptions, join(CHECKOUT, 'src/main.ts'), 'run', '-c', file]
    const { pid, stop } = await startProxy(around.scene, 'mailmux', command, () => isReady(ports.admin))
    return { pid, ports, stop }
  },
}
