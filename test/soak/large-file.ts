/** How long a routing file of many users takes to load, and the memory of the process afterwards: `node test/soak/large-file.ts 100000`. */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { loadConfig } from '../../src/config/load.ts'

const users = Number(process.argv[2] ?? 100_000)
const MIB = 1024 * 1024
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'mailmux-large-'))
const main = path.join(directory, 'mailmux.yaml')
const lines = Array.from({ length: users }, (_, index) => `  user${index}@example.org: store1\n`).join('')
const routing = `backends:\n  store1: {host: 10.0.0.11, imap: 143}\nusers:\n${lines}`
try {
  fs.writeFileSync(main, 'listeners: [{name: imap, protocol: imap, tls: none, allow_plaintext_auth: true}]\n')
  fs.writeFileSync(path.join(directory, 'routing.yaml'), routing)
  const before = performance.now()
  const { settings } = loadConfig(main, {})
  const ms = Math.round(performance.now() - before)
  if (settings?.routing.users.size !== users) throw new Error('the file was not loaded')
  const mib = (bytes: number): string => (bytes / MIB).toFixed(1)
  process.stdout.write(
    `${users} users, ${mib(routing.length)} MiB: loaded in ${ms} ms, process ${mib(process.memoryUsage.rss())} MiB\n`,
  )
} finally {
  fs.rmSync(directory, { recursive: true })
}
