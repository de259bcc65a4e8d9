/** The names of the back ends, for shell completion: read without the schema, because a shell waits for them. */
import path from 'node:path'
import { readText } from './check/pem.ts'
import { createProblems } from './yaml/problems.ts'
import type { YamlNode } from './yaml/nodes.ts'
import { readSource } from './yaml/source.ts'
import type { Environment } from './yaml/variables.ts'
import { parseName } from './schema/values.ts'

/** @returns none if a file has an error, or more than 4 MiB */
export function readBackendNames(mainFile: string, env: Environment): string[] {
  const main = readTree(mainFile, env)
  if (!main) return []
  const written = entryOf(main, 'routing')
  const routingName = written?.kind === 'scalar' && typeof written.value === 'string' ? written.value : 'routing.yaml'
  const routing = readTree(path.resolve(path.dirname(mainFile), routingName), env)
  // A shell would expand other characters.
  const backends = routing && entryOf(routing, 'backends')
  return backends?.kind === 'map' ? [...backends.entries.keys()].filter((name) => 'value' in parseName(name)) : []
}

function readTree(file: string, env: Environment): YamlNode | undefined {
  const text = readText(file)
  return 'wrong' in text ? undefined : readSource(file, text.value, env, createProblems()).root
}

function entryOf(node: YamlNode, name: string): YamlNode | undefined {
  return node.kind === 'map' ? node.entries.get(name)?.node : undefined
}
