#!/usr/bin/env -S node --max-semi-space-size=16
/**
 * The process: arguments to a command, signals, exit code. Only this file reads the environment. The first line limits V8's space for young
 * objects: the process then takes 26 MiB less after a thousand logins, at the same cost. Workers inherit the option.
 * Over 250 lines: environment, signals and exit codes of the supervisor, its workers and the process that reads the files are handled here alone.
 */
import type { Option } from 'commander'
import type { LoadResult } from './config/load.ts'
import type { LogOutput } from './log-output.ts'
import type { PredecessorChannel } from './supervisor/generation/predecessor.ts'
import type { Instance } from './supervisor/instance-interface.ts'
import type { LoadMessage, LoadOrder } from './supervisor/serve-load.ts'
import type { WorkerProgram } from './supervisor/worker-interface.ts'

/**
 * What a signal does until the modules are loaded. Without a handler SIGHUP would end the process, SIGTERM would end it with no exit code,
 * and SIGUSR1 would open Node's port for debuggers.
 */
const WHILE_LOADING = {
  SIGHUP: () => undefined,
  SIGUSR1: () => undefined,
  SIGUSR2: () => undefined,
  SIGTERM: () => process.exit(0),
  SIGINT: () => process.exit(0),
}
const DEFAULT_CONFIG = '/etc/mailmux/mailmux.yaml'
const SIGNALS = ['SIGHUP', 'SIGUSR1', 'SIGUSR2', 'SIGTERM', 'SIGINT'] as const
const [, , command, argument] = process.argv
/** Text for standard error that waits for its reader; more is thrown away. It holds the stacks of some crashes. */
const STDERR_BYTES = 64 * 1024
if (command === 'run') for (const signal of SIGNALS) process.on(signal, WHILE_LOADING[signal])
// Ctrl-C and service managers signal the supervisor's other processes too; what it means, the supervisor tells.
if (command === 'worker' || command === 'load') for (const signal of SIGNALS) process.on(signal, () => undefined)

// Before the other modules: an older Node may not even read all of them.
const { runtimeName } = await import('./runtime.ts')
const { describeOldNode, version } = await import('./version.ts')
const oldNode = describeOldNode(process.versions)
if (oldNode !== undefined) {
  process.stderr.write(`${oldNode}\n`)
  process.exit(1)
}

/** What starts this program again with another command, as a process of the running mailmux. */
const programFor = (command: string): WorkerProgram => ({
  command: process.execPath,
  options: process.execArgv,
  args: [import.meta.filename, command],
  printError(text: string) {
    if (process.stderr.writableLength < STDERR_BYTES) process.stderr.write(printableLines(text))
  },
})

const { printableLine, printableLines } = await import('./printable.ts')
const print = (line: string): void => void process.stdout.write(`${printableLine(line)}\n`)
const printError = (line: string): void => void process.stderr.write(`${printableLine(line)}\n`)
if (command === 'load') await readConfiguration()
if (command === 'backend-names') await printBackendNames()
const { createLoader } = await import('./supervisor/loader.ts')
const loader = createLoader(programFor('load'))
// It loads its modules while this process does.
if (command === 'run') loader.prepare()

// Only now: they take a good part of a second.
const { Command, Option: CommandOption } = await import('commander')
const { createApp } = await import('./app.ts')
const { addCommands } = await import('./cli/commands.ts')
const { createOutput } = await import('./cli/output.ts')
const { readPassword } = await import('./cli/password.ts')
const { formatProblem } = await import('./config/yaml/problems.ts')
const { openLogOutput } = await import('./log-output.ts')
const { listProtocols } = await import('./protocol/registry.ts')
const { adoptSockets } = await import('./supervisor/activation.ts')
const { createInstance } = await import('./supervisor/instance.ts')
const { HANDOVER } = await import('./supervisor/generation/check-program.ts')
const { meetPredecessor } = await import('./supervisor/generation/predecessor.ts')
const { programOf } = await import('./supervisor/generation/this-program.ts')
const { openLogFile } = await import('./supervisor/log-file.ts')
const { takeServiceManager } = await import('./supervisor/notify.ts')
const { LOG_DESCRIPTOR } = await import('./supervisor/messages.ts')
const { dropPrivileges } = await import('./supervisor/privileges.ts')
const { serveWorker } = await import('./supervisor/serve-worker.ts')
const { outliveSupervisor } = await import('./supervisor/worker-process.ts')

// A standard descriptor whose other end has gone must not end the process.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined)

/** What the log may take to be written before the process exits. A destination that takes lines at all needs less. */
const LAST_LINES_MS = 1000

function openOutput(fd: number): LogOutput {
  const output = openLogOutput(fd)
  process.on('exit', output.flushNow)
  return output
}

type RunOptions = { takeOver?: true; replace?: true }

/** Serves until SIGTERM or SIGINT, then lets sessions end and exits with 0; a second signal does not wait. */
async function run(configFile: string, { takeOver, replace }: RunOptions): Promise<void> {
  const serviceManager = takeServiceManager(process.env, process.pid)
  const met = takeOver ? meetPredecessor(predecessorChannel()) : undefined
  met?.catch(() => process.exit(1)) // the version that has started this one has ended, or has given up
  let instance: Instance | undefined = undefined
  let exit = (code: number): void => process.exit(code)
  let stopping = false
  const stop = (): void => {
    loader.close()
    if (stopping) {
      instance?.abandon()
      process.exit(1)
    }
    stopping = true
    if (!instance) return exit(0)
    instance.stop().then(
      () => exit(0),
      (error: unknown) => {
        printError(`mailmux: ${String(error)}`)
        exit(1)
      },
    )
  }
  // Until then the files are being read, and may change once more.
  const early = { reload: false }
  let reload = (): void => void (early.reload = true)
  process.on('SIGHUP', () => reload())
  process.on('SIGUSR1', () => instance?.reopenLog())
  process.on('SIGUSR2', () => instance?.upgrade())
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  for (const signal of SIGNALS) process.off(signal, WHILE_LOADING[signal])

  const load = (): Promise<LoadResult> => loader.load(configFile)
  const loaded = await load()
  if (!loaded.settings) {
    for (const problem of loaded.problems) for (const line of formatProblem(problem)) printError(line)
    if (loaded.more.error > 0) printError(`and ${loaded.more.error} more errors`)
    await (await met)?.failed('the configuration has errors')
    process.exit(1)
  }
  const predecessor = await met
  const given = predecessor?.inherited ?? (await adoptSockets(process.env, process.pid, loaded.settings))
  // They are for this process alone, and not for those that it starts.
  delete process.env.LISTEN_PID
  delete process.env.LISTEN_FDS
  delete process.env.LISTEN_FDNAMES
  // Node makes standard output non-blocking when `process.stdout` is first read: pipes, sockets and terminals, not files.
  const output = openOutput(process.stdout.fd)
  const inherited = await dropPrivileges(loaded.settings, given)
  openLogFile(output, loaded.settings.log.file)
  exit = (code) => void output.flush(LAST_LINES_MS).then(() => process.exit(code))
  instance = createInstance({
    settings: loaded.settings,
    loaded,
    load,
    createApp,
    output,
    program: programFor('worker'),
    inherited,
    serviceManager: predecessor?.serviceManager ?? serviceManager,
    predecessor,
    replace: replace === true,
    upgradeProgram: programOf(process, configFile),
    onRetired: () => exit(0),
  })
  reload = instance.reload
  if (early.reload) reload()
  await instance.start()
}

/** The channel to the version that has started this one in an upgrade. */
function predecessorChannel(): PredecessorChannel {
  if (!process.send) throw new Error('only an upgrade can start a version that takes over')
  return {
    send: (message) => new Promise((resolve) => void process.send?.(message, undefined, {}, () => resolve())),
    onMessage: (hear) => void process.on('message', hear),
    onGone: (gone) => void process.on('disconnect', gone),
  }
}

/** The process that reads the configuration for `run`, which sends it the path. It ends when there is no supervisor any more. */
async function readConfiguration(): Promise<never> {
  if (!process.send) {
    printError('mailmux run starts the process that reads the configuration')
    return process.exit(2)
  }
  process.on('disconnect', () => process.exit(0))
  const ordered = new Promise<LoadOrder>((resolve) => process.once('message', (sent) => resolve(sent as LoadOrder)))
  const { serveLoad, TABLE_DESCRIPTOR } = await import('./supervisor/serve-load.ts')
  const send = (message: LoadMessage): Promise<void> =>
    new Promise((resolve) => void process.send?.(message, undefined, {}, () => resolve()))
  const { Socket } = await import('node:net')
  const table = new Socket({ fd: TABLE_DESCRIPTOR, readable: false, writable: true })
  table.on('error', () => process.exit(0)) // the supervisor has ended
  const write = (octets: Uint8Array): Promise<void> =>
    new Promise((resolve) => void table.write(octets, () => resolve()))
  await serveLoad(await ordered, process.env, { send, write })
  return process.exit(0)
}

/** For the completion of a shell, which waits for it: all modules of the program would take most of a second. */
async function printBackendNames(): Promise<never> {
  const { readBackendNames } = await import('./config/backend-names.ts')
  for (const name of readBackendNames(argument ?? DEFAULT_CONFIG, process.env)) print(name)
  return process.exit()
}

/** One of several workers, which `run` starts and speaks to. */
function work(): void {
  if (!process.send) return program.error('only mailmux run can start workers', { exitCode: 2 })
  const output = openOutput(LOG_DESCRIPTOR)
  serveWorker(
    {
      send: (message, then) => void process.send?.(message, undefined, {}, () => then?.()),
      onMessage: (hear) => void process.on('message', hear),
      onGone: (gone) => void process.on('disconnect', gone),
      exit: (code) => void output.flush(LAST_LINES_MS).then(() => process.exit(code)),
    },
    createApp,
    output,
  )
  outliveSupervisor()
  if (!process.connected) process.exit(1) // the supervisor has ended before this process could get the event
}

const configOption = (): Option =>
  new CommandOption('-c, --config <file>', 'the main configuration file').default(DEFAULT_CONFIG)

const terminal = { env: process.env, out: print, printError }
const RUN_HELP = `
Signals: HUP reloads the configuration, USR1 opens the file of the log anew, USR2 upgrades.
TERM and INT end the sessions at safe points within shutdown_grace; a second one ends the process at once.
Exit codes: 0 stopped by a signal, or another process has taken over, 1 cannot start, or stopped by a second signal.
Example: mailmux run -c /etc/mailmux/mailmux.yaml`
/** Help ends with 0, wrong usage of a command that asks with 2. */
const exitAsUsage = ({ exitCode }: { exitCode: number }): never => process.exit(exitCode === 0 ? 0 : 2)

const program = new Command('mailmux')
  .description(
    `A messaging multiplexor: one ${listProtocols('and', ({ title }) => title)} front door for many back-end mail servers.`,
  )
  .version(`${version} (${runtimeName})`)
  .enablePositionalOptions() // an option of `sessions end` is none of `sessions`

program
  .command('run')
  .description('serve the listeners of the configuration')
  .addOption(configOption())
  .option('--replace', 'take the place of the running mailmux, which releases its ports once this one is ready')
  .addOption(new CommandOption('--take-over', 'as the new version of an upgrade').hideHelp())
  .addHelpText('after', RUN_HELP)
  .action(({ config, ...how }: RunOptions & { config: string }) => run(config, how))

program.command('worker', { hidden: true }).action(work)

addCommands(program, {
  configOption,
  terminal,
  exitAsUsage,
  exitWith: (code) => void (process.exitCode = code),
  handover: { mailmux: version, handover: HANDOVER },
  loadProbe: async () => (await import('./inspect/probe.ts')).probe,
  // A name lookup that is still running would delay the end of the process.
  endNow: () => void process.stdout.write('', () => process.exit()),
  printText: (text) => void process.stdout.write(text),
  write: createOutput(process.stdout),
  readPassword: () => readPassword(process.stdin, (text) => process.stderr.write(text)),
  onInterrupt: () => onInterrupt('mailmux move: ended at once: a hold that it leaves expires within 60 s'),
  interrupted: () => onInterrupt('mailmux: ended at once'),
  stdin: () => process.stdin,
  screen: () => ({ keys: process.stdin, output: process.stdout }),
  showProgress: process.stderr.isTTY
    ? (line) => void process.stderr.write(line === '\n' ? line : `\r${line}\x1b[K`)
    : undefined,
})

/** A second signal ends the process at once. @param atOnce what it leaves then */
function onInterrupt(atOnce: string): AbortSignal {
  const stop = new AbortController()
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.on(signal, () => {
      if (stop.signal.aborted) {
        printError(atOnce)
        process.exit(75) // as after the first signal: EX_TEMPFAIL of sysexits(3)
      }
      stop.abort(new Error('interrupted'))
    })
  return stop.signal
}

try {
  await program.parseAsync()
} catch (error) {
  printError(`mailmux: ${error instanceof Error ? error.message : String(error)}`)
  process.exit(1)
}
