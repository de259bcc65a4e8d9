/** The version of the package, as it stands in package.json, and of Node that it needs. */
import { readFileSync } from 'node:fs'
import { z } from 'zod'

const Package = z.object({ version: z.string() })

export const version = Package.parse(
  JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')),
).version

/** The oldest Node that mailmux runs on; `engines` of package.json and the Makefile say the same. */
export const LEAST_NODE = { major: 24, minor: 12 }

/**
 * @param versions those of the process
 * @returns what keeps mailmux from running on this Node, for the operator. Bun names a version of Node too, and is not judged by it.
 */
export function describeOldNode(versions: { node: string; bun?: string | undefined }): string | undefined {
  const [major = 0, minor = 0] = versions.node.split('.').map(Number)
  const isOld = major < LEAST_NODE.major || (major === LEAST_NODE.major && minor < LEAST_NODE.minor)
  if (!isOld || versions.bun !== undefined) return undefined
  const least = `${LEAST_NODE.major}.${LEAST_NODE.minor}`
  return `mailmux needs Node ${least} or newer, and this is Node ${versions.node}. README.md, "Install and run", says how to get it.`
}
