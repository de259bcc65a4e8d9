/** A configuration that is followed, with changes and failures of its loads. */
import assert from 'node:assert/strict'
import fs from 'node:fs'
import path from 'node:path'
import type { TestContext } from 'node:test'
import { loadConfig, type LoadResult } from '../../../src/config/load.ts'
import type { Settings } from '../../../src/config/settings.ts'
import { keepConfiguration } from '../../../src/supervisor/configuration.ts'
import { START_DEADLINE_MS, until } from '../../support/deadline.ts'
import { certificate, MAIN, ROUTING, temporaryDirectory } from '../config/fixture.ts'

export const SETTLING = `${MAIN}settle: 100ms\n`

type Options = {
  main?: string
  /** called after the files were read, with their directory, before they are watched */
  atStart?: (directory: string) => void
  /** the same for the first reload */
  atReload?: (directory: string) => void
  /** called before each load; what it throws is the failure of the load */
  beforeLoad?: (load: number) => void
  /** called before new settings are taken over; what it throws is the reason why they are not */
  beforeTakeOver?: () => void
  retryMs?: number
  /** an operator's reload may change `workers` between 1 and several */
  mayHandOver?: boolean
}

export function start(
  t: TestContext,
  { main = SETTLING, atStart, atReload, beforeLoad, beforeTakeOver, retryMs = 50, mayHandOver = false }: Options,
) {
  const directory = temporaryDirectory(t)
  const file = (name: string): string => path.join(directory, name)
  const all = { 'mailmux.yaml': main, 'routing.yaml': ROUTING, ...certificate('mail') }
  for (const [name, text] of Object.entries(all)) fs.writeFileSync(file(name), text)
  const loaded = loadConfig(file('mailmux.yaml'), {})
  assert.ok(loaded.settings)
  atStart?.(directory)
  const taken: Settings[] = []
  let loads = 0
  const load = (): LoadResult => {
    loads++
    beforeLoad?.(loads)
    const result = loadConfig(file('mailmux.yaml'), {})
    if (loads === 1) atReload?.(directory)
    return result
  }
  const log: { text: string | undefined; fields: unknown }[] = []
  const note = (fields: unknown, text?: string): void => void log.push({ fields, text })
  const warnings: unknown[] = []
  const shortages: string[] = []
  let refused = 0
  const ignore = (): void => undefined
  const configuration = keepConfiguration(loaded.settings, loaded, {
    load,
    takeOver(settings) {
      beforeTakeOver?.()
      taken.push(settings)
      return Promise.resolve([])
    },
    mayHandOver: (byOperator) => mayHandOver && byOperator,
    log: { debug: ignore, info: ignore, warn: (fields: unknown) => void warnings.push(fields), error: note },
    noteShortage: (_place, detail) => void shortages.push(detail),
    metrics: {
      configurationLoaded: ignore,
      configurationRefused: () => refused++,
      configurationNotRead: ignore,
      configurationHeldBack: ignore,
      configurationUnwatched: ignore,
    },
    watching: { debounceMs: 10, retryMs },
  })
  t.after(() => configuration.close())
  return {
    file,
    configuration,
    /** lines of level error */
    log,
    /** the fields of the lines of level warn */
    warnings,
    shortages,
    refused: () => refused,
    loads: () => loads,
    untilTaken: (what: string, isThere: (settings: Settings) => boolean) =>
      until(
        START_DEADLINE_MS,
        () => taken.some(isThere) || undefined,
        () => `${what} was not taken over; ${loads} loads`,
      ),
  }
}
