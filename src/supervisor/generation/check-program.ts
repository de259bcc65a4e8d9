/** Looks at the program of an upgrade before anything changes: whether it is mailmux, can take over, and takes the present configuration. */
import { execFile } from 'node:child_process'
import { stat } from 'node:fs/promises'
import path from 'node:path'
import { systemCode } from '../../errors.ts'
import { printable } from '../../printable.ts'
import type { Program } from './successor.ts'

/** The version of the messages between two generations. Programs of different versions cannot hand over. */
export const HANDOVER = 1

/** For reading and checking the configuration: a million users take 16 s. */
const CHECK_MS = 120_000
/** What is read of its output; a hundred problems fit. */
const MAX_OUTPUT_BYTES = 1024 * 1024
/** Lines of its complaints that are repeated to the operator. */
const MOST_LINES = 10

/** What a program that can take over prints as its last line. */
export type HandoverFacts = { mailmux: string; handover: number }

/**
 * @param program with the arguments that make it print its `HandoverFacts`
 * @returns its version. @throws Error with a message for the operator
 */
export async function checkProgram({ command, args }: Program): Promise<string> {
  const { code, stdout, stderr } = await execute(command, args)
  const facts = readFacts(stdout)
  if (!facts) {
    throw new Error(
      `${command} is not mailmux, or a version that cannot take over: ${firstLines(stderr) || `exit code ${code}`}`,
    )
  }
  if (facts.handover !== HANDOVER) {
    throw new Error(`mailmux ${facts.mailmux} cannot take over from this version: restart instead`)
  }
  if (code !== 0) throw new Error(`mailmux ${facts.mailmux} does not take the configuration: ${firstLines(stderr)}`)
  return facts.mailmux
}

function execute(command: string, args: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve, reject) => {
    const options = { timeout: CHECK_MS, killSignal: 'SIGKILL', maxBuffer: MAX_OUTPUT_BYTES } as const
    execFile(command, args, options, (error, stdout, stderr) => {
      if (!error) return resolve({ code: 0, stdout, stderr })
      if (typeof error.code === 'number') return resolve({ code: error.code, stdout, stderr })
      const why = error.killed === true ? `no answer within ${CHECK_MS / 1000} s` : (error.signal ?? systemCode(error))
      reject(new Error(`${command} cannot check the configuration: ${why}`))
    })
  })
}

function readFacts(stdout: string): HandoverFacts | undefined {
  try {
    const facts: unknown = JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
    if (typeof facts !== 'object' || facts === null) return undefined
    const { mailmux, handover } = facts as Partial<Record<keyof HandoverFacts, unknown>>
    return typeof mailmux === 'string' && typeof handover === 'number' ? { mailmux, handover } : undefined
  } catch {
    return undefined
  }
}

function firstLines(text: string): string {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(0, MOST_LINES)
    .map(printable)
    .join(' | ')
}

/** Others than the owner may write. */
const WRITABLE_BY_OTHERS = 0o022
/** In such a directory others cannot replace a file that is not theirs. */
const STICKY = 0o1000

/**
 * Whether a token of the admin HTTP could otherwise run any file of this machine: the program must belong to root or to the user of
 * mailmux, and no other user may be able to replace it.
 * @returns why not
 */
export async function whyUnsafe(file: string, uid: number): Promise<string | undefined> {
  if (!path.isAbsolute(file)) return `${file}: the path must be absolute`
  for (let at = file, isFile = true; ; at = path.dirname(at), isFile = false) {
    const found = await stat(at).catch(() => undefined)
    if (!found) return `${at} does not exist`
    if (isFile && !found.isFile()) return `${at} is not a file`
    if (found.uid !== 0 && found.uid !== uid) return `${at} belongs to another user than root and the one of mailmux`
    const isProtected = !isFile && (found.mode & STICKY) !== 0
    if ((found.mode & WRITABLE_BY_OTHERS) !== 0 && !isProtected) return `${at} can be changed by other users`
    if (path.dirname(at) === at) return undefined
  }
}
