/**
 * What a lookup finds on its way, step by step, for whoever asks why. The same code answers logins, which hand in no trace and pay
 * nothing for it. A lookup with a trace is a look and no more: nothing is remembered, placed or counted by it.
 */
import { MuxError } from '../errors.ts'
import { describeEntry, type DirectoryEntry } from './entry.ts'

export type RouteStep = {
  /** who was asked: the users of the routing file, what is remembered here and by other workers, the directory itself, the domains and placement of the routing file */
  asked: 'users' | 'memory' | 'directory' | 'workers' | 'domains' | 'placement'
  /** what for: the user, the key in the directory, the domain */
  key: string
  /** `outdated`: something is known there, but is not taken for current */
  outcome: 'found' | 'nothing' | 'outdated' | 'unavailable' | 'invalid'
  /** what was found or went wrong, in words; may repeat what the directory holds, so that whoever prints it must beware */
  detail?: string
  /** since it was read from the directory */
  ageMs?: number
  /** until it is asked for again, or may stand in no longer */
  leftMs?: number
}

export type Trace = (step: RouteStep) => void

/** Notes how a question to the directory is answered. @throws what the answer throws */
export async function noteAnswer(
  trace: Trace,
  key: string,
  answer: Promise<DirectoryEntry | undefined>,
): Promise<DirectoryEntry | undefined> {
  const asked = 'directory'
  try {
    const entry = await answer
    trace(entry ? { asked, key, outcome: 'found', detail: describeEntry(entry) } : { asked, key, outcome: 'nothing' })
    return entry
  } catch (error) {
    if (error instanceof MuxError) {
      const outcome = error.code === 'directory-unavailable' ? 'unavailable' : 'invalid'
      trace({ asked, key, outcome, detail: error.message })
    }
    throw error
  }
}
