/** @returns calls `run` soon, once for all calls of this turn of the event loop: a wave of logins is one message */
export function oncePerTurn(run: () => void): () => void {
  let isDue = false
  return () => {
    if (isDue) return
    isDue = true
    setImmediate(() => {
      isDue = false
      run()
    })
  }
}
