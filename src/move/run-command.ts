/**
 * The copy command of a move: a shell command in a process group of its own, all of which ends with it, at its deadline or at an abort.
 * The output is not kept but for the end of standard error.
 */
import { spawn } from 'node:child_process'
import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { printable } from '../printable.ts'
import type { PassResult, RunPass } from './passes.ts'

/** Of standard error, the end is kept. Enough for the errors of dsync, of which often the first names the cause. */
const STDERR_BYTES = 4096
/** Of that, the report has the end. A bulk move prints a report for each user that fails. */
const REPORT_CHARACTERS = 1000
/**
 * From the end of the command to that of its standard error. When several commands end at once, Node reports the end of one before its
 * last words. A process that has left the group may keep standard error open.
 */
const LAST_WORDS_MS = 1000
/** Between SIGTERM and SIGKILL. */
const TERM_MS = 2000

/**
 * Runs the command, the first argument, and beside it a process of the same group that reads descriptor 3. That ends when mailmux ends,
 * also by SIGKILL, and then the group is ended as at an abort. A copy that outlived its move could write to the target after another move
 * has switched the user there: `doveadm backup` removes what has arrived since.
 */
const WATCHED = `{ trap '' TERM; read -r _; kill -15 -$$; sleep ${TERM_MS / 1000}; kill -9 -$$; } <&3 3<&- >/dev/null 2>&1 &
exec /bin/sh -c "$1" 3<&-`

type Environment = Readonly<Record<string, string | undefined>>

/** @param command run by `/bin/sh -c` with MAILMUX_USER, MAILMUX_FROM, MAILMUX_TO and MAILMUX_PASS */
export function createRunCommand(command: string, env: Environment): RunPass {
  return ({ user, from, to }, pass, deadlineMs, signal) =>
    new Promise<PassResult>((resolve) => {
      const own = { MAILMUX_USER: user, MAILMUX_FROM: from, MAILMUX_TO: to, MAILMUX_PASS: String(pass) }
      const child = spawn('/bin/sh', ['-c', WATCHED, 'sh', command], {
        detached: true, // a process group of its own, which can be ended as a whole, and which Ctrl-C does not reach
        stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
        env: { ...env, ...own },
      })
      const [, , stderr, lifeline] = child.stdio
      lifeline?.on('error', () => undefined)
      let kept = Buffer.alloc(0)
      stderr?.on('data', (bytes: Buffer) => {
        kept = Buffer.concat([kept, bytes])
        if (kept.length > STDERR_BYTES) kept = kept.subarray(kept.length - STDERR_BYTES)
      })
      stderr?.on('error', () => undefined)

      let hasTimedOut = false
      let killing: NodeJS.Timeout | undefined
      function end(): void {
        signalGroup('SIGTERM')
        killing ??= setTimeout(() => signalGroup('SIGKILL'), TERM_MS)
      }
      function signalGroup(name: 'SIGTERM' | 'SIGKILL'): void {
        if (child.pid === undefined) return
        try {
          process.kill(-child.pid, name)
        } catch {
          // The group has ended.
        }
      }
      const deadline = setTimeout(() => {
        hasTimedOut = true
        end()
      }, deadlineMs)
      signal.addEventListener('abort', end, { once: true })
      if (signal.aborted) end()

      /** From now on no signal is sent: another process may get the number of this one. */
      function forget(): void {
        clearTimeout(deadline)
        clearTimeout(killing)
        signal.removeEventListener('abort', end)
      }
      function finish(result: PassResult['end']): void {
        stderr?.destroy()
        lifeline?.destroy()
        resolve({ end: hasTimedOut ? 'timeout' : result, stderr: inOneLine(kept) })
      }
      child.on('error', () => {
        forget()
        finish('not-run')
      })
      child.on('exit', (code, name) => {
        // What the shell has left in the background would go on writing to the target.
        signalGroup('SIGKILL')
        forget()
        const result = name === null ? { code: code ?? 0 } : { signal: name }
        const late = setTimeout(() => finish(result), LAST_WORDS_MS)
        child.once('close', () => {
          clearTimeout(late)
          finish(result)
        })
      })
    })
}

function inOneLine(octets: Uint8Array): string {
  const lines = new TextDecoder()
    .decode(octets)
    .split('\n')
    .map((line) => line.trim())
  const text = lines.filter((line) => line !== '').join('; ')
  return printable(text.length > REPORT_CHARACTERS ? `...${text.slice(-REPORT_CHARACTERS)}` : text)
}

/**
 * Whether the shell would find what the command begins with, so that a mistyped name is reported before anything else. A command that
 * begins with shell syntax is not judged: the first pass, before the hold, shows what is wrong with it.
 * @returns what is wrong
 */
export function checkCommand(command: string, env: Environment): string | undefined {
  const words = command.trim().split(/\s+/u)
  const first = words.find((word) => !/^[A-Za-z_]\w*=[\w./:@%+,-]*$/u.test(word))
  if (first === undefined || first === '') return 'the command is empty'
  if (!/^[\w./:@%+,-]+$/u.test(first) || WORDS_OF_SHELL.has(first)) return undefined
  if (first.includes('/')) return whyNotExecutable(first)
  const directories = (env.PATH ?? '/usr/local/bin:/usr/bin:/bin').split(delimiter)
  if (directories.some((directory) => whyNotExecutable(join(directory, first)) === undefined)) return undefined
  return `${first} is not found in PATH`
}

/** Reserved words and builtins of the shell (POSIX XCU 2.4, 2.14, 1.6) that a command may begin with. */
const WORDS_OF_SHELL = new Set(
  '. : cd command eval exec exit export case for if read set shift trap ulimit umask unset until while'.split(' '),
)

function whyNotExecutable(file: string): string | undefined {
  try {
    if (!statSync(file).isFile()) return `${file} is not a file`
    accessSync(file, constants.X_OK)
    return undefined
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    return code === 'EACCES' ? `${file} is not executable` : `${file} does not exist`
  }
}
