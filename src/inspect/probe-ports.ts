/**
 * Whether the ports of the listeners, of `admin` and of `delivery` can be bound now. `check --probe` runs before the first start and before a reload, so
 * that a port of a running mailmux of the same configuration is no mistake.
 */
import net, { createServer } from 'node:net'
import type { ListenAddress, Settings } from '../config/settings.ts'
import { systemCode } from '../errors.ts'
import { isMissingFamily, whyNotBound } from '../listener/door.ts'
import { familyOf, hostPort } from '../net/address.ts'
import { portHolders } from '../net/port-holder.ts'
import { error, groupOf, inTime, warning, type Finding, type Probed, type Told } from './findings.ts'
import { runsConfiguration } from './own-process.ts'

/** To look through the descriptors of all processes. */
const SEARCH_MS = 8000

type Port = { what: string; address: ListenAddress; path: Finding['path'] }
type Refused = Port & { code: string }

export async function probePorts({
  listeners,
  admin,
  delivery,
  files,
}: Pick<Settings, 'listeners' | 'admin' | 'files'> & Partial<Pick<Settings, 'delivery'>>): Promise<Probed> {
  const ports: Port[] = listeners.flatMap(({ name, listen }, index) =>
    listen.map((address) => ({ what: `listener ${name}`, address, path: ['listeners', index, 'listen'] })),
  )
  if (admin) ports.push({ what: 'admin', address: { ...admin, optional: false }, path: ['admin', 'listen'] })
  if (delivery) ports.push({ what: 'delivery', address: delivery.listen, path: ['delivery', 'listen'] })
  const refused: Refused[] = []
  for (const port of ports) {
    const thrown = await tryBind(port.address)
    if (thrown !== undefined && !isMissingFamily(thrown, port.address))
      refused.push({ ...port, code: systemCode(thrown) })
  }
  const { findings, notes } = await judge(refused, files.main)
  const results = ports.map(({ what, address: { host, port }, path }) => {
    const name = `${what} at ${hostPort(host, port)}`
    return { name, told: findings.filter((one) => one.path === path && one.at === name) }
  })
  return { findings: findings.map(({ at: _, ...finding }) => finding), notes, groups: [groupOf('ports', results)] }
}

/** @returns `at` names the port of a finding */
async function judge(
  refused: readonly Refused[],
  mainFile: string,
): Promise<{ findings: (Finding & { at: string })[]; notes: string[] }> {
  const inUse = new Set(refused.filter(({ code }) => code === 'EADDRINUSE').map(({ address }) => address.port))
  const holders = await findHolders(inUse, mainFile)
  const findings = refused.flatMap(({ what, address, path, code }) => {
    const holder = holders.get(address.port)
    if (code === 'EADDRINUSE' && holder === OURS) return []
    return [
      {
        ...describe(`${what}: cannot listen on ${hostPort(address.host, address.port)}`, code, holder),
        which: 'main' as const,
        path,
        at: `${what} at ${hostPort(address.host, address.port)}`,
      },
    ]
  })
  const ours = [...inUse].filter((port) => holders.get(port) === OURS)
  const notes = ours.length === 0 ? [] : [`in use by the running mailmux of this configuration: ${portList(ours)}`]
  return { findings, notes }
}

function describe(what: string, code: string, holder: string | undefined): Told {
  // A service manager may give mailmux the right that this process lacks.
  if (code === 'EACCES') return warning(`${what} as this user: ${whyNotBound(code)}`)
  const hidden = 'the port is in use by a process that this user cannot see, perhaps a running mailmux (EADDRINUSE)'
  if (code === 'EADDRINUSE' && holder === undefined) return warning(`${what}: ${hidden}`)
  return error(`${what}: ${whyNotBound(code, holder)}`)
}

const OURS = 'this mailmux'

/** @returns port to the program that holds it, `OURS` where one of several is that */
async function findHolders(ports: ReadonlySet<number>, mainFile: string): Promise<Map<number, string>> {
  const found = new Map<number, string>()
  const seen = new Map<number, Promise<boolean>>()
  let isLate = false
  async function search(): Promise<void> {
    for await (const { port, name, pid } of portHolders(ports)) {
      if (isLate) return
      const isOurs = seen.get(pid) ?? runsConfiguration(pid, mainFile)
      seen.set(pid, isOurs)
      if (await isOurs) found.set(port, OURS)
      else if (!found.has(port)) found.set(port, `${name} (process ${pid})`)
      if (ports.size === [...found.values()].filter((holder) => holder === OURS).length) return
    }
  }
  if (ports.size > 0) await inTime(SEARCH_MS, search(), () => new Error('late')).catch(() => undefined)
  isLate = true
  return found
}

/** @returns the error; undefined where the port could be bound */
async function tryBind({ host, port }: ListenAddress): Promise<unknown> {
  const ipv6Only = familyOf(host) === 6 // each family has a socket of its own
  try {
    // This never listens, so that no client is accepted by it. Node before 26.4 lacks it.
    if ('BoundSocket' in net) new net.BoundSocket({ host, port, ipv6Only }).close()
    else await listenOnce({ host, port, ipv6Only })
    return undefined
  } catch (thrown) {
    return thrown
  }
}

function listenOnce(place: { host: string; port: number; ipv6Only: boolean }): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', reject)
    server.listen(place, () => server.close(() => resolve()))
  })
}

function portList(ports: readonly number[]): string {
  return `${ports.length === 1 ? 'port' : 'ports'} ${ports.join(', ')}`
}
