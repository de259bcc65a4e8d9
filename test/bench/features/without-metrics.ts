/** Loaded before mailmux: the metrics of a worker are those of no-metrics.ts. */
import { registerHooks } from 'node:module'
import { pathToFileURL } from 'node:url'
import { join } from 'node:path'

const toUrl = (path: string): string => pathToFileURL(join(import.meta.dirname, path)).href
const METRICS = toUrl('../../../src/metrics/metrics.ts')
const NO_METRICS = toUrl('no-metrics.ts')

registerHooks({
  resolve(specifier, context, next) {
    const resolved = next(specifier, context)
    return resolved.url === METRICS && context.parentURL !== NO_METRICS ? { ...resolved, url: NO_METRICS } : resolved
  },
})
