/**
 * The two YAML files to `Settings`: read, checked by the schema and by the rules between keys, and built. All errors of both files are reported together.
 * It changes nothing and keeps nothing, so a reload is another call; it never throws because of the content of a file.
 */
import path from 'node:path'
import { rethrowShortage } from '../errors.ts'
import { buildSettings } from './build/build.ts'
import { checkMain } from './check/main.ts'
import { checkRouting } from './check/routing.ts'
import { readText } from './check/pem.ts'
import { checkWrittenFile } from './check/written-files.ts'
import { createProblems, type Problem, type Problems } from './yaml/problems.ts'
import { createReporter, readDraft, type Path } from './schema/read.ts'
import { createReadFiles, type FileState, type ReadFiles } from './read-files.ts'
import { MAX_YAML_BYTES } from './regular-file.ts'
import { mainSchema, routingSchema } from './schema/schema.ts'
import type { Settings } from './settings.ts'
import { locate as locateIn, readSource, type Source } from './yaml/source.ts'
import type { Environment } from './yaml/variables.ts'
import { checkMainFiles } from './check/main-files.ts'

export type LoadResult = {
  /** undefined where there is an error */
  settings: Settings | undefined
  /** errors and warnings, by place; with `settings` there are warnings only */
  problems: Problem[]
  /** the number of further problems, which are only counted */
  more: Record<Problem['severity'], number>
  /** absolute paths of all files that were read or are missing, for the watcher */
  files: string[]
  /** the state of each of these files just before it was read */
  states: ReadonlyMap<string, FileState>
}

/** Where a path stands in one of the files, for what is found about it after loading. */
export type Locate = (which: 'main' | 'routing', path: Path, part?: 'key' | 'value') => Pick<Problem, 'file' | 'spot'>

type Sources = Partial<Record<'main' | 'routing', Source>>

/**
 * @param mainFile path of mailmux.yaml; problems name files the way that this does
 * @param env the variables that `${NAME}` may name; `main.ts` alone reads `process.env`
 * @param now what certificates are held against
 * @throws MuxError `local-shortage` if a file cannot be read because a descriptor or memory is missing
 */
export function loadConfig(mainFile: string, env: Environment, now: Date = new Date()): LoadResult {
  return loadInto({}, mainFile, env, now)
}

/** As `loadConfig`, for a command that ends soon: `locate` keeps both files in memory, as trees. */
export function loadWithPlaces(mainFile: string, env: Environment): LoadResult & { locate: Locate } {
  const sources: Sources = {}
  const loaded = loadInto(sources, mainFile, env, new Date())
  const locate: Locate = (which, path, part) => {
    const source = sources[which]
    return source ? { file: source.file, spot: locateIn(source, path, part) } : { file: mainFile, spot: undefined }
  }
  return { ...loaded, locate }
}

/** @param sources gets what was read */
function loadInto(sources: Sources, mainFile: string, env: Environment, now: Date): LoadResult {
  const problems = createProblems()
  const files = createReadFiles()
  const finish = (settings?: Settings): LoadResult => ({
    settings,
    problems: problems.list(),
    more: problems.more(),
    files: [...files.states.keys()],
    states: files.states,
  })
  try {
    return finish(readAll(sources, mainFile, env, now, problems, files))
  } catch (error) {
    rethrowShortage(error, 'the configuration cannot be checked')
    // A defect of ours, or a limit of the engine: it must not look like a failure of whatever asked for the configuration.
    problems.error(mainFile, undefined, `cannot be checked: ${error instanceof Error ? error.message : String(error)}`)
    return finish()
  }
}

/** @returns the settings; undefined where there is an error, which is in `problems`. @param files grows by each file that is read */
function readAll(
  sources: Sources,
  mainFile: string,
  env: Environment,
  now: Date,
  problems: Problems,
  files: ReadFiles,
): Settings | undefined {
  files.add(path.resolve(mainFile))
  const mainText = readText(mainFile, MAX_YAML_BYTES)
  if ('wrong' in mainText) {
    problems.error(mainFile, undefined, `this file ${mainText.wrong}`)
    return undefined
  }
  const mainSource = readSource(mainFile, mainText.value, env, problems)
  sources.main = mainSource
  const main = readDraft(mainSchema, mainSource, problems)

  // Even where the main file is not understood the routing file most likely has its usual name, and its errors are told too.
  const routingName = main.value === undefined ? 'routing.yaml' : main.value.routing
  const directory = path.dirname(mainFile)
  const routingFile = routingName === undefined ? undefined : resolveShown(directory, routingName)
  let routingSource: Source | undefined
  if (routingFile !== undefined) {
    files.add(path.resolve(routingFile))
    const text = readText(routingFile, MAX_YAML_BYTES)
    if ('value' in text) routingSource = readSource(routingFile, text.value, env, problems)
    else if (main.value !== undefined) {
      problems.error(mainFile, locateIn(mainSource, ['routing']), `the routing file ${routingFile} ${text.wrong}`)
    }
  }
  if (routingSource) sources.routing = routingSource
  const routing = routingSource && readDraft(routingSchema, routingSource, problems)

  checkMain(main, problems)
  const mainFiles = checkMainFiles(main, directory, files, now, problems)
  if (routing === undefined || routingFile === undefined) return undefined
  const found = checkRouting(routing, main, path.dirname(routingFile), files, now, problems)
  const report = createReporter(main, problems)
  checkWrittenFile(mainFiles.redis.snapshotFile, ['directory', 'redis', 'snapshot_file'], files, report)
  checkWrittenFile(mainFiles.logFile, ['log', 'file'], files, report)
  const [mainRoot, routingRoot] = [mainSource.root, routing.source.root]
  if (problems.hasErrors() || mainRoot === undefined || routingRoot === undefined) return undefined
  const paths = { main: path.resolve(mainFile), routing: path.resolve(routingFile) }
  const routes = routing.value?.users ?? {}
  return buildSettings({ main: mainRoot, routing: routingRoot, routes, paths, mainFiles, found })
}

/** Relative where the main file was named relatively, so that an editor opens what a message names. */
function resolveShown(directory: string, name: string): string {
  return path.isAbsolute(name) ? name : path.join(directory, name)
}
