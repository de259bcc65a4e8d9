/**
 * A start as root: the files are read and the ports are bound with its rights, and everything else is done as another user. There is no
 * way back, so what a later reload reads and binds must be open to that user.
 */
import { execFileSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import type { Settings } from '../config/settings.ts'
import { systemCode } from '../errors.ts'
import { bindPorts, inheritable } from '../listener/bound-ports.ts'
import { createInheritedSockets, type InheritedSockets } from '../listener/inherited.ts'
import type { Log } from '../log.ts'
import { BINDS_ALONE } from '../runtime.ts'
import { namedPorts } from './activation.ts'

/** A directory service that does not answer must not hold up the start for ever. */
const LOOKUP_MS = 30_000

type Account = { user: string; uid: number; gid: number; groups: readonly number[] }

type PrivilegedSettings = Pick<Settings, 'privileges' | 'listeners' | 'delivery' | 'admin'>

/**
 * Becomes the user of the settings, if there is one. Must be called before another process is started, and before anything but the
 * configuration is opened.
 * @param inherited the sockets that are open already
 * @returns these, and as root the other ports of the settings too
 * @throws Error with a message for the operator
 */
export async function dropPrivileges(
  settings: PrivilegedSettings,
  inherited: InheritedSockets,
): Promise<InheritedSockets> {
  const { privileges } = settings
  if (!privileges) return inherited
  const account = findAccount(privileges)
  if (process.getuid?.() !== 0) {
    if (process.getuid?.() === account.uid) return inherited
    throw new Error(
      `user: only root can become ${account.user}; start mailmux as root or as that user, or remove \`user\``,
    )
  }
  if (!BINDS_ALONE) throw new Error('user: a start as root needs Node 26.4 or later (net.BoundSocket)')
  // Each is taken over by what listens there, which closes it too: this object closes none.
  const bound = await bindPorts(namedPorts(settings), inherited)
  giveSocketDirectory(settings.admin?.socket, account)
  become(account)
  mustRead(account, [process.execPath, import.meta.filename])
  return createInheritedSockets(inheritable(bound.list()))
}

/** By the system's own programs, which know the accounts of a directory service too. Node has no function for this. */
function findAccount({ user, group }: NonNullable<Settings['privileges']>): Account {
  const [uid] = ask('id', ['-u', '--', user])
  if (uid === undefined) throw new Error(`user: there is no user ${user} on this machine`)
  if (uid === 0) throw new Error(`user: ${user} has the rights of root`)
  const groups = ask('id', ['-G', '--', user]) // that of the user is the first
  const [gid] = group === undefined ? groups : ask('getent', ['group', group])
  if (gid === undefined) throw new Error(`group: there is no group ${group ?? `of ${user}`} on this machine`)
  return { user, uid, gid, groups }
}

/** @returns the numbers that a program prints: as words of their own, or between colons; none if it finds nothing */
function ask(program: string, args: readonly string[]): number[] {
  try {
    const text = execFileSync(program, args, {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      timeout: LOOKUP_MS,
    })
    return text.split(/[\s:]/).flatMap((word) => (/^\d+$/.test(word) ? [Number(word)] : []))
  } catch (error) {
    if (error instanceof Error && 'status' in error && typeof error.status === 'number') return []
    throw new Error(`user: ${program} cannot be run: ${systemCode(error)}`, { cause: error })
  }
}

/** The groups first: without root they cannot be changed any more. setuid(2) of root sets the saved id too, so that there is no way back. */
function become({ user, uid, gid, groups }: Account): void {
  process.setgroups?.([...groups])
  process.setgid?.(gid)
  process.setuid?.(uid)
  let isRoot = true
  try {
    process.setuid?.(0)
  } catch {
    isRoot = process.getuid?.() !== uid || process.getgid?.() !== gid
  }
  if (isRoot) throw new Error(`user: the rights of root are not dropped for ${user}`)
}

/** Makes the directory of the Unix socket, which only root can do in /run. One that exists keeps its owner. */
function giveSocketDirectory(socket: NonNullable<Settings['admin']>['socket'], { uid, gid }: Account): void {
  if (!socket) return
  const directory = path.dirname(socket.file)
  try {
    fs.mkdirSync(directory, { mode: 0o755 })
    fs.chownSync(directory, uid, gid)
  } catch {
    // What opens the socket reports it, as far as the configuration asks for a socket.
  }
}

/** Each worker, and each reload, starts the program again. @param files its runtime, and one file of its code */
function mustRead({ user }: Account, files: readonly string[]): void {
  for (const file of files)
    try {
      fs.accessSync(file, fs.constants.R_OK)
    } catch (error) {
      throw new Error(`user: ${user} cannot read the program ${file}: ${systemCode(error)}`, { cause: error })
    }
}

/** Writes to the log what an operator should know about the rights of this process. @param files those of the configuration */
export function warnOfRights(privileges: Settings['privileges'], files: readonly string[], log: Log): void {
  if (process.getuid?.() === 0)
    log.warn({ hint: 'set `user`, or start mailmux as another user' }, 'mailmux runs as root')
  if (!privileges) return
  for (const file of files)
    if (!canRead(file)) log.warn({ file, user: privileges.user }, 'a reload cannot read this file')
}

function canRead(file: string): boolean {
  try {
    fs.accessSync(file, fs.constants.R_OK)
    return true
  } catch {
    return false
  }
}
