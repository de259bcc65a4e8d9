/**
 * The steps of a lookup, to explain its result. Logins use the same code without a trace, and at no cost.
 * A traced lookup changes nothing: it stores, places and counts nothing.
 */
import { MuxError } from '../errors.ts'
import { describeEntry, type DirectoryEntry } from './entry.ts'

export type RouteStep = {
  /** the source: users, domains and placement of the routing file; the memory of this worker and of other workers; the directory */
  asked: 'users' | 'memory' | 'directory' | 'workers' | 'domains' | 'placement'
  /** what was looked up: the user, the key in the directory, or the domain */
  key: string
  /** `outdated`: the source has an entry that does not count as current */
  outcome: 'found' | 'nothing' | 'outdated' | 'unavailable' | 'invalid'
  /** the finding or the error, in words; it may quote the directory, so that its characters must be escaped for output */
  detail?: string
  /** time since the entry was read from the directory */
  ageMs?: number
  /** time until the entry expires or may no longer stand in */
  leftMs?: number
}

export type Trace = (step: RouteStep) => void

/** Adds the directory's answer to the trace. @throws the error of the answer */
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
