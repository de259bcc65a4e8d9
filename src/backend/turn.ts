/** A place at a back end: a login's, and then its session's. */
export type Turn = {
  /** The login has become a session: another login may be under way. Says nothing once the place is given back. */
  loggedIn(): void
  /** Gives the place back. Once, however often it is called. */
  release(): void
}

/** @param giveBack is told what is free again: once for the login, once for the place as a whole, whichever way it goes */
export function createTurn(giveBack: (what: 'login' | 'place') => void): Turn {
  let holds: 'login' | 'session' | 'nothing' = 'login'
  return {
    loggedIn() {
      if (holds !== 'login') return
      holds = 'session'
      giveBack('login')
    },
    release() {
      if (holds === 'nothing') return
      const wasLogin = holds === 'login'
      holds = 'nothing'
      if (wasLogin) giveBack('login')
      giveBack('place')
    },
  }
}
