/** Which users a bulk move takes: those of a file, or a share of them. Pure. */
import { finish, hash } from '../rendezvous.ts'
import { readUser, type NameRules } from '../user-name.ts'

export type ListedUser = { user: string; line: number }
export type WrongLine = { line: number; why: string }

/** One user a line; empty lines and lines that begin with `#` have no meaning. @returns the users, and everything that is wrong */
export function readUsersFile(text: string, rules: NameRules): { users: ListedUser[]; wrong: WrongLine[] } {
  const users: ListedUser[] = []
  const wrong: WrongLine[] = []
  const lines = new Map<string, number>()
  for (const [index, written] of text.split('\n').entries()) {
    const line = index + 1
    const typed = written.trim()
    if (typed === '' || typed.startsWith('#')) continue
    let reason = ''
    const read = readUser(typed, rules, (note) => {
      if (note.what === 'wrong') reason = note.why
    })
    const before = read && lines.get(read.user)
    if (!read) wrong.push({ line, why: `no name of a user: ${reason}` })
    else if (before !== undefined) wrong.push({ line, why: `${read.user} is in line ${before} already` })
    else {
      lines.set(read.user, line)
      users.push({ user: read.user, line })
    }
  }
  return { users, wrong }
}

/** @returns the share from 0 to 1 of `20%`; undefined for another form */
export function parseShare(text: string): number | undefined {
  const percent = /^(?<number>\d{1,3}(?:\.\d{1,3})?)%$/u.exec(text)?.groups?.number
  const share = Number(percent) / 100
  return percent === undefined || share <= 0 || share > 1 ? undefined : share
}

/**
 * A stable choice: the same users each time, and those of a smaller share are among those of a larger one. The hash is not that of the
 * placement, on which a back end's users depend.
 */
export function isInShare(user: string, share: number): boolean {
  return finish(hash(`share ${user}`)) / 2 ** 32 < share
}
