/** Loads modules of src/ as they are with one more protocol in the registry, beside those that the process has loaded. */
import { readFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'

const root = join(import.meta.dirname, '../../..')
const MARK = 'with-third-protocol'

/** A protocol of which no other file of the program can know. */
const SPEC = `  mumble: {
    title: 'Mumble',
    bannerName: 'MUMBLE1',
    ports: { plain: 4190, implicit: 5190 },
    alpn: 'mumble/1',
    startTls: 'GOTLS',
    srvNames: { plain: '_mumble', implicit: '_mumbles' },
    idle: { byDefault: '45m', leastMs: 30 * MINUTE_MS, shortWarning: 'mumbling takes 30m', description: 'Of mumbling.' },
    identityBy: { command: 'WHOIS', note: undefined },
    bannerTrap: { pattern: /shout/u, why: 'no shouting' },
    capability: { required: 'LOW', own: /^GOTLS$/u, withheld: /^LOUD$/u, description: 'Words of Mumble.' },
  },
`

/** @returns the module, with modules of its own for all that it imports from src/ */
export async function importWithThird(path: string): Promise<unknown> {
  const hooks = registerHooks({
    resolve(specifier, context, next) {
      const resolved = next(specifier, context)
      const isOurs = resolved.url.startsWith(pathToFileURL(join(root, 'src/')).href)
      return isOurs && context.parentURL?.endsWith(`?${MARK}`)
        ? { ...resolved, url: `${resolved.url}?${MARK}` }
        : resolved
    },
    load(url, context, next) {
      const loaded = next(url, context)
      if (!url.endsWith(`/protocol/registry.ts?${MARK}`)) return loaded
      const source = readFileSync(join(root, 'src/protocol/registry.ts'), 'utf8')
      const changed = source.replace(/^\} as const satisfies Readonly</m, (end) => SPEC + end)
      if (changed === source) throw new Error('the registry is not where it was')
      return { ...loaded, source: changed }
    },
  })
  try {
    return (await import(`${pathToFileURL(join(root, path)).href}?${MARK}`)) as unknown
  } finally {
    hooks.deregister()
  }
}
