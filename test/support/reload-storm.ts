/**
 * Reloads in a row, of which every second one is of a broken file: the listeners and the banner change with each valid one, and the
 * directory too if there are several.
 */
import { writeFile } from 'node:fs/promises'
import { setTimeout as pass } from 'node:timers/promises'
import { parse, stringify } from 'yaml'
import type { Mailmux, YamlMap } from './mailmux.ts'
import { freePort } from './ports.ts'

export type Storm = {
  /** Writes the next file and has it read. */
  next: () => Promise<void>
  /** Writes the file as it was, with this banner, and has it read. */
  end: (banner: string) => Promise<void>
  /** of the listener that comes and goes */
  port: number
  reloads: () => number
}

/**
 * @param main the text of mailmux.yaml, with `reload: signal`
 * @param reload has the file read
 */
export async function createStorm(
  { configFile }: Pick<Mailmux, 'configFile'>,
  main: string,
  reload: () => unknown,
  directories?: { valid: readonly YamlMap[]; broken: YamlMap },
): Promise<Storm> {
  const port = await freePort()
  let count = 0

  async function write(text: string): Promise<void> {
    await writeFile(configFile, text)
    await reload()
  }

  function valid(banner: string, hasMore: boolean): string {
    const changed = parse(main) as { listeners: YamlMap[]; directory?: YamlMap }
    const [imap] = changed.listeners
    imap!.banner = banner
    if (hasMore) changed.listeners.push({ ...imap!, name: 'comes-and-goes', listen: [`127.0.0.1:${port}`] })
    const { valid: all = [] } = directories ?? {}
    const directory = all[(count >> 1) % all.length]
    if (directory) changed.directory = directory
    return stringify(changed)
  }

  function broken(): string {
    if (directories === undefined || count % 4 === 2) return `${main}no_such_key: ${count}\n`
    return stringify({ ...(parse(main) as YamlMap), directory: directories.broken })
  }

  return {
    async next() {
      count++
      await write(count % 2 === 0 ? broken() : valid(`storm ${count}`, count % 4 === 1))
    },
    end: (banner) => write(valid(banner, false)),
    port,
    reloads: () => count,
  }
}

/** @param everyMs between the begins of two reloads */
export async function blow(storm: Storm, count: number, everyMs: number): Promise<void> {
  for (let done = 0; done < count; done++) {
    await storm.next()
    await pass(everyMs)
  }
}
