/**
 * Mutation tests: Stryker changes one expression of a module at a time, and the module's unit and dialogue tests must fail. `make mutants
 * MODULE=routing` runs it for one module, a folder or a file of it (`MODULE=backend/endpoint`), and without MODULE for all of them, for hours.
 * `SAMPLE=20` tests a fifth of the mutants. The summary is printed; `.runtime/mutants/MODULE.txt` lists the mutants that no test noticed.
 */
import { spawnSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { alignTable } from '../bench/render.ts'
import { OUTSIDE } from './sample.ts'
import { listMissed, summarize, type Report } from './summary.ts'

const ROOT = join(import.meta.dirname, '../..')
const FOLDER = join(ROOT, '.runtime/mutants')
const STRYKER = join(ROOT, '.runtime/stryker/node_modules/@stryker-mutator/core/bin/stryker.js')

/** Percent of the mutants that are tested. */
const SAMPLE = Number(process.env.SAMPLE || 100)
if (!(SAMPLE > 0 && SAMPLE <= 100)) throw new Error('make mutants: SAMPLE is a percentage, as in SAMPLE=20')

/** Chooses the sample. Each seed has its own results, so that the figure of a sample counts its mutants only. */
const SEED = process.env.SEED ?? ''

const MODULES = ['routing', 'directory', 'backend', 'login', 'protocol', 'relay', 'client', 'tls', 'session', 'net']

/** Tests of other folders that are about a module too. A mutant runs the test files only that reach it. */
const MORE_TESTS: Readonly<Record<string, readonly string[]>> = {
  backend: ['test/unit/login/*.test.ts', 'test/unit/session/{backend-drain,local-probe,paused-backend,spread}.test.ts'],
  client: ['test/unit/login/*.test.ts', 'test/unit/session/*.test.ts'],
  directory: ['test/unit/routing/*.test.ts'],
  login: ['test/unit/session/*.test.ts', 'test/unit/inspect/*.test.ts'],
  protocol: [
    'test/dialogue/*.test.ts',
    'test/unit/login/overlong-credentials.test.ts',
    'test/unit/session/{session-words,turn-away}.test.ts',
  ],
  routing: ['test/unit/inspect/*.test.ts', 'test/unit/delivery/*.test.ts'],
  relay: ['test/unit/session/*.test.ts'],
  tls: ['test/unit/client/*.test.ts', 'test/unit/session/certified-user.test.ts'],
}

/** @param place `routing`, or a folder or file of it */
function configure(place: string): object {
  const [module = ''] = place.split('/')
  const tests = [`test/unit/${module}/**/*.test.ts`, ...(MORE_TESTS[module] ?? [])]
  const typeCheck = process.env.TYPES === 'yes'
  return {
    plugins: [
      join(import.meta.dirname, 'runner.ts'),
      join(import.meta.dirname, 'sample.ts'),
      ...(typeCheck ? ['@stryker-mutator/typescript-checker'] : []),
    ],
    // The compiler refuses a part of the mutants, which then need no test. That takes longer than the tests that it saves.
    checkers: [...(SAMPLE < 100 ? ['sample'] : []), ...(typeCheck ? ['typescript'] : [])],
    tsconfigFile: 'tsconfig.json',
    mutate: [place.endsWith('.ts') ? `src/${place}` : `src/${place}/**/*.ts`],
    testRunner: 'mailmux',
    mailmux: { testFiles: globSync(tests, { cwd: ROOT }).toSorted() },
    coverageAnalysis: 'perTest',
    // The runner ends a mutant that hangs. These bounds of Stryker are far above its own: a timeout counts as a kill.
    timeoutMS: 300_000,
    timeoutFactor: 10,
    dryRunTimeoutMinutes: 15,
    concurrency: Number(process.env.JOBS || 1),
    reporters: ['progress-append-only', 'json'],
    jsonReporter: { fileName: reportOf(place) },
    incremental: true,
    incrementalFile: incrementalOf(place),
    tempDirName: '.runtime/mutants/sandbox',
    ignorePatterns: ['.runtime', 'dist', 'test/e2e', 'test/soak', 'test/bench'],
    allowConsoleColors: false,
  }
}

const nameOf = (place: string): string =>
  place.replaceAll('/', '-').replace(/\.ts$/, '') + (SEED === '' ? '' : `-seed-${SEED}`)
const reportOf = (place: string): string => join(FOLDER, `${nameOf(place)}.json`)
const incrementalOf = (place: string): string => join(FOLDER, `${nameOf(place)}.incremental.json`)

function run(place: string): Report {
  const config = join(FOLDER, `${nameOf(place)}.config.json`)
  writeFileSync(config, JSON.stringify(configure(place)))
  // Without the cache each test process would strip the types of all sources again.
  const env = { ...process.env, NODE_COMPILE_CACHE: join(FOLDER, 'compiled') }
  const { status } = spawnSync(process.execPath, [STRYKER, 'run', config], { cwd: ROOT, env, stdio: 'inherit' })
  if (status !== 0) throw new Error(`Stryker ended with ${String(status)} for ${place}`)
  forgetRefused(incrementalOf(place))
  return JSON.parse(readFileSync(reportOf(place), 'utf8')) as Report
}

/** A mutant outside of this run's sample has no result that a run with a larger sample may use. */
function forgetRefused(path: string): void {
  const report = JSON.parse(readFileSync(path, 'utf8')) as Report
  for (const file of Object.values(report.files)) {
    file.mutants = file.mutants.filter(({ statusReason }) => statusReason !== OUTSIDE)
  }
  writeFileSync(path, JSON.stringify(report))
}

const asked = process.env.MODULE ?? ''
const places = asked === '' ? MODULES.filter((module) => existsSync(join(ROOT, 'src', module))) : [asked]
for (const place of places) {
  if (!existsSync(join(ROOT, 'src', place))) throw new Error(`make mutants: there is no src/${place}`)
}
mkdirSync(FOLDER, { recursive: true })
for (const place of places) {
  const report = run(place)
  writeFileSync(join(FOLDER, `${nameOf(place)}.txt`), listMissed(report))
  process.stdout.write(`\n${alignTable(summarize(place, report)).join('\n')}\n`)
}
