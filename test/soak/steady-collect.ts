/**
 * Loaded into the mailmux that is measured, before its own code: `node --expose-gc --import`. At SIGUSR2 it collects all garbage and says on
 * stderr what is left, so that a leak is not hidden by garbage that nobody has collected yet.
 */
let collections = 0

process.on('SIGUSR2', () => {
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  process.stderr.write(`${JSON.stringify({ collection: ++collections, heapUsed, external })}\n`)
})
