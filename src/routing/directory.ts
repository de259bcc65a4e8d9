/** What the router asks: which back end holds this mailbox? A directory answers from its own store and decides nothing. */

export type DirectoryEntry = { backend: string; login: string | undefined; status: 'active' | 'hold' | 'disabled' }

export type Directory = {
  /** @param user a normalised name. @throws MuxError `directory-unavailable`, or `route-invalid` where the entry makes no sense */
  lookup(user: string): Promise<DirectoryEntry | undefined>
  /** resolves when the directory can be asked for the first time, and not before */
  readonly connected: Promise<void>
  close(): Promise<void>
}
