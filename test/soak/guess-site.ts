/** The mailmux of `guessing.ts`: as an operator would limit it, and with its log in a file, as a reader of its output would take part of a processor. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Leaf } from '../support/certificates.ts'
import { freeMailmuxPorts, launchMailmux, writeConfiguration } from '../support/mailmux.ts'
import type { Scene } from '../support/scene.ts'

export type Memory = { residentBytes: number; heapBytes: number }

export type Guessed = {
  pid: number
  /** the value of a series of `/metrics`, 0 where there is none */
  metric: (series: string) => Promise<number>
  memory: () => Promise<Memory>
  /** Looks again and again. `stop` gives the most of each. */
  watchMemory: (everyMs: number) => { stop: () => Memory }
  stop: () => Promise<unknown>
}

/** How many connections the kernel of this machine has dropped because nothing accepted them in time (tcp(7), `ListenDrops` of netstat). */
export async function readDrops(): Promise<number> {
  const lines = (await readFile('/proc/net/netstat', 'utf8')).split('\n').filter((line) => line.startsWith('TcpExt:'))
  const [names = [], values = []] = lines.map((line) => line.split(' '))
  return Number(values[names.indexOf('ListenDrops')] ?? 0)
}

export async function startGuessed(
  scene: Scene,
  { certificate, storePort, port }: { certificate: Leaf; storePort: number; port: number },
): Promise<Guessed> {
  const ports = await freeMailmuxPorts()
  const { configFile } = await writeConfiguration(scene, ports, {
    certificate,
    backends: {
      store1: { host: '127.0.0.1', imap: storePort, limits: { logins: 10_000 }, health: { check: 'none' } },
    },
    domains: { 'example.test': 'store1' },
    limits: { login_rate: '60/1m', connections_per_address: 100, penalty: {} },
    settings: { log: { format: 'json', file: join(scene.directory, 'mailmux.log') } },
    listeners: [
      {
        name: 'guessed',
        protocol: 'imap',
        listen: [`127.0.0.1:${port}`],
        tls: 'none',
        proxy_protocol: 'required',
        trusted_proxies: ['127.0.0.0/8'],
        allow_plaintext_auth: true,
      },
    ],
  })
  const program = launchMailmux(
    scene,
    configFile,
    undefined,
    process.env.GUESS_OPEN_FILES === undefined ? {} : { openFiles: process.env.GUESS_OPEN_FILES },
  )
  const admin = `http://127.0.0.1:${ports.admin}`
  for (;;) {
    if (program.exit()) throw new Error(`mailmux ended: ${program.stderr()}`)
    const isReady = await fetch(`${admin}/readyz`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (isReady) break
    await sleep(100)
  }
  const metric = async (series: string): Promise<number> => {
    const text = await (await fetch(`${admin}/metrics`)).text()
    const line = text.split('\n').find((one) => one.startsWith(`${series} `))
    return Number(line?.slice(series.length + 1) ?? 0)
  }
  const memory = async (): Promise<Memory> => {
    const status = await readFile(`/proc/${program.pid}/status`, 'utf8')
    const residentBytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024
    return { residentBytes, heapBytes: await metric('nodejs_heap_size_used_bytes') }
  }
  return {
    pid: program.pid,
    metric,
    memory,
    watchMemory(everyMs) {
      const most: Memory = { residentBytes: 0, heapBytes: 0 }
      const timer = setInterval(() => {
        void memory().then(({ residentBytes, heapBytes }) => {
          most.residentBytes = Math.max(most.residentBytes, residentBytes)
          most.heapBytes = Math.max(most.heapBytes, heapBytes)
        })
      }, everyMs)
      return {
        stop() {
          clearInterval(timer)
          return most
        },
      }
    },
    stop: () => program.stop(),
  }
}
