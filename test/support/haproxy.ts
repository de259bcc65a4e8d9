/** What stands in front of mailmux: a real HAProxy, a forwarder that cuts packets as it is told, and the headers that both send. */
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { START_DEADLINE_MS, until } from './deadline.ts'
import type { MailProtocol } from './mail-client.ts'
import { freePort } from './ports.ts'
import { startProgram } from './processes.ts'
import type { Scene } from './scene.ts'
import { type Cut, WHOLE } from './splits.ts'

/** One port of HAProxy, and the port of mailmux behind it. */
export type HaproxyDoor = {
  name: string
  target: number
  /** how it speaks to mailmux, as HAProxy's `server` line has it: `send-proxy-v2`, `check` ... */
  server: string
  /** its own TLS in front, as HAProxy's `bind` line has it: `ssl crt FILE` */
  bind?: string
  /** more lines of the section, `option tcp-check` for instance */
  lines?: string[]
}

export type Haproxy = {
  ports: Record<string, number>
  /** What its health check of this door's server has last found, `L7OK` for instance; empty before the first. */
  checkStatus: (door: string) => Promise<string>
}

/** Starts HAProxy; resolves when every port is bound. Connects to none of them, so that mailmux hears of nothing. */
export async function startHaproxy(scene: Scene, doors: HaproxyDoor[]): Promise<Haproxy> {
  const statistics = await freePort()
  const ports: Record<string, number> = {}
  const sections: string[] = []
  for (const { name, target, server, bind = '', lines = [] } of doors) {
    ports[name] = await freePort()
    sections.push(
      `listen ${name}`,
      `  bind 127.0.0.1:${ports[name]} ${bind}`,
      ...lines.map((line) => `  ${line}`),
      `  server mailmux 127.0.0.1:${target} ${server}`,
    )
  }
  const file = join(scene.directory, 'haproxy.cfg')
  await writeFile(
    file,
    [HEAD, `listen statistics\n  mode http\n  bind 127.0.0.1:${statistics}`, STATISTICS, ...sections, ''].join('\n'),
  )
  const program = startProgram(scene, { name: 'haproxy', command: '/usr/sbin/haproxy', args: ['-db', '-f', file] })

  const table = async () => {
    const response = await fetch(`http://127.0.0.1:${statistics}/;csv`)
    const [head = '', ...rows] = (await response.text()).split('\n')
    const names = head.replace(/^# /, '').split(',')
    return rows.map((row) => new Map(row.split(',').map((value, index) => [names[index], value])))
  }
  await until(
    START_DEADLINE_MS,
    () => {
      if (program.exit() !== undefined) throw new Error(`haproxy ended at once: ${program.stderr()}`)
      return table().catch(() => undefined)
    },
    () => `haproxy does not start: ${program.stderr()}`,
  )
  return {
    ports,
    checkStatus: async (door) => {
      const row = (await table()).find((one) => one.get('pxname') === door && one.get('svname') === 'mailmux')
      return row?.get('check_status') ?? ''
    },
  }
}

const HEAD = `global
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout check 5s`

const STATISTICS = `  stats enable
  stats uri /`

export type ForwarderOptions = {
  target: number
  /** goes before the client's first bytes: together with them where the client speaks first, else at once */
  header?: Buffer
  /** true where the client speaks first, as with TLS from the first byte */
  clientSpeaksFirst?: boolean
  /** how the header and the client's first bytes are cut into packets */
  cut?: Cut
  /** the address that the forwarder connects from */
  localAddress?: string
}

/** Carries connections to `target`, each with a header in front and its beginning cut into packets. @returns its port */
export async function startForwarder(scene: Scene, options: ForwarderOptions): Promise<number> {
  const { target, header = Buffer.alloc(0), clientSpeaksFirst = false, cut = WHOLE, localAddress } = options
  const sockets = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => {
    const backend = connect({
      port: target,
      host: '127.0.0.1',
      allowHalfOpen: true,
      noDelay: true,
      ...(localAddress && { localAddress }),
    })
    for (const [socket, other] of [
      [client, backend],
      [backend, client],
    ] as const) {
      sockets.add(socket)
      socket.on('error', () => other.destroy())
      socket.on('close', () => other.destroySoon())
    }
    backend.pipe(client)
    void (async () => {
      const first = clientSpeaksFirst ? ((await once(client, 'data')) as [Buffer])[0] : Buffer.alloc(0)
      client.pause()
      for (const piece of cut.split(Buffer.concat([header, first]).toString('latin1'))) {
        backend.write(piece, 'latin1')
        await new Promise(setImmediate) // lets the piece go out alone; TCP may still join some
      }
      client.pipe(backend)
    })()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  scene.closeLater(async () => {
    for (const socket of sockets) socket.destroy()
    const closed = once(server, 'close')
    server.close()
    await closed
  })
  return (server.address() as AddressInfo).port
}

/** The line of version 1 for a client at `address` (doc/proxy-protocol.txt 2.1). */
export function proxyLine(address: string): Buffer {
  return Buffer.from(`PROXY TCP4 ${address} 127.0.0.1 40000 143\r\n`, 'latin1')
}

/** The header of version 2 for a client at the IPv4 `address` (2.2), without vectors; `local` is a proxy that speaks for itself. */
export function proxyHeader(address: string, command: 'proxy' | 'local' = 'proxy'): Buffer {
  const signature = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
  const head = Buffer.from([command === 'proxy' ? 0x21 : 0x20, 0x11, 0, 12])
  const addresses = [...address.split('.'), ...'127.0.0.1'.split('.')].map(Number)
  return Buffer.concat([signature, head, Buffer.from(addresses), Buffer.from([40_000 >> 8, 40_000 & 255, 0, 143])])
}

/** The versions of the header, by HAProxy's words for them. */
export const HEADERS = { 'send-proxy': proxyLine, 'send-proxy-v2': proxyHeader }
export const HEADER_VERSIONS = Object.keys(HEADERS) as (keyof typeof HEADERS)[]

/**
 * Ports of HAProxy for one protocol: `imap-starttls-send-proxy` and so on for each way to secure it by each version of the header,
 * `imap-secured` with TLS of HAProxy's own, and `imap-checked`, whose greeting it looks at again and again.
 * @param targets mailmux's ports: `imap-starttls`, `imap-implicit`, `imap-clear`, `imap-secured`, `imap-checked`
 * @param pemFile HAProxy's certificate and its key
 */
export function mailDoors(protocol: MailProtocol, targets: Record<string, number>, pemFile: string): HaproxyDoor[] {
  const door = (security: string, server: string, more: Partial<HaproxyDoor> = {}): HaproxyDoor => {
    const target = targets[`${protocol}-${security}`]
    if (target === undefined) throw new Error(`no port for ${protocol}-${security}`)
    return { name: `${protocol}-${security}`, target, server, ...more }
  }
  const plain = HEADER_VERSIONS.flatMap((server) =>
    ['starttls', 'implicit', 'clear'].map((security) =>
      door(security, server, { name: `${protocol}-${security}-${server}` }),
    ),
  )
  const greeting = protocol === 'imap' ? '* OK' : '+OK'
  return [
    ...plain,
    door('secured', 'send-proxy-v2-ssl-cn proxy-v2-options ssl-cipher,authority,crc32c,unique-id', {
      bind: `ssl crt ${pemFile} alpn ${protocol}`,
      lines: ['unique-id-format %pid-%rt'],
    }),
    door('checked', 'send-proxy-v2 check inter 100ms', {
      lines: ['option tcp-check', 'tcp-check connect send-proxy', `tcp-check expect string "${greeting}"`],
    }),
  ]
}

/** For a Dovecot's configuration: a port that takes nothing without a header. */
export function wantsHeader(protocol: MailProtocol, port: number): string {
  return `haproxy_trusted_networks = 127.0.0.1
haproxy_timeout = 1s
service ${protocol}-login {
  inet_listener ${protocol}-proxied {
    port = ${port}
    haproxy = yes
  }
}`
}
