/**
 * `mailmux check --probe`: connects from this machine to all that the configuration names, and binds its ports. All probes run at the
 * same time, each with a deadline of at most 9 seconds. Nothing is logged in to but Redis, and nothing is written anywhere.
 */
import type { DirectorySettings, Settings } from '../config/settings.ts'
import { error, groupOf, type Finding, type Probed, type Told } from './findings.ts'
import { probeAuthServer } from './probe-auth-server.ts'
import { probeBackends } from './probe-backends.ts'
import { probePorts } from './probe-ports.ts'
import { probeRedis } from './probe-redis.ts'

/** @param settings those of a configuration without errors */
export async function probe(settings: Settings): Promise<Probed> {
  const parts = await Promise.all([
    probeDirectory(settings),
    guarded(() => probePorts(settings), 'main', ['listeners']),
    guarded(() => probeBackends(settings.routing), 'routing', ['backends']),
  ])
  return {
    findings: parts.flatMap(({ findings }) => findings),
    notes: parts.flatMap(({ notes }) => notes),
    groups: parts.flatMap(({ groups }) => groups),
  }
}

async function probeDirectory({ directory, routing }: Settings): Promise<Probed> {
  if (directory.kind === 'static') return { findings: [], notes: [], groups: [] }
  const { kind } = directory
  const path = ['directory', kind]
  const at = (told: readonly Told[]): Finding[] => told.map((one) => ({ ...one, which: 'main' as const, path }))
  const { others, domains } = routing.placement
  const isPlacing = others !== undefined || [...domains.values()].some((pool) => pool !== undefined)
  const run = async (): Promise<Probed> => {
    const notes: string[] = []
    const told = await askDirectory(directory, isPlacing, (note) => notes.push(note))
    const name = kind === 'redis' ? 'Redis' : 'the auth server'
    return { findings: at(told), notes, groups: [groupOf('directory', [{ name, told }])] }
  }
  return guarded(run, 'main', path)
}

function askDirectory(
  directory: Exclude<DirectorySettings, { kind: 'static' }>,
  isPlacing: boolean,
  note: (text: string) => void,
): Promise<Told[]> {
  return directory.kind === 'redis' ? probeRedis(directory, isPlacing, note) : probeAuthServer(directory)
}

/** A defect of one probe must not hide what the others have found. */
async function guarded(
  run: () => Promise<Probed>,
  which: Finding['which'],
  path: readonly (string | number)[],
): Promise<Probed> {
  try {
    return await run()
  } catch (thrown) {
    const message = `cannot be probed: ${thrown instanceof Error ? thrown.message : String(thrown)}`
    return { findings: [{ ...error(message), which, path }], notes: [], groups: [] }
  }
}
