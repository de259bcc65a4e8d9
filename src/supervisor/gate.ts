/** Opens once, when it was asked for so many times: no worker accepts before all of them can. Later calls find it open. */
export function createGate(count: number, open: () => Promise<void>): () => Promise<void> {
  const opened = Promise.withResolvers<undefined>()
  let missing = count
  return () => {
    if (--missing === 0)
      open().then(
        () => opened.resolve(undefined),
        (error: unknown) => opened.reject(error),
      )
    return opened.promise
  }
}
