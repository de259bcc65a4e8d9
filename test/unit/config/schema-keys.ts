/** Every key of both files, as the documentation spells it, from the JSON Schema that editors get. */
import { schemaText } from '../../../src/cli/schema.ts'

type JsonSchema = {
  description?: string
  default?: unknown
  properties?: Record<string, JsonSchema>
  required?: string[]
  items?: JsonSchema
  additionalProperties?: JsonSchema | false
  anyOf?: JsonSchema[]
}

export type SchemaKey = { path: string; description: string | undefined; default: unknown; required: boolean }

/** What stands in the place of a name that the operator chooses. */
const NAMES: Partial<Record<string, string>> = { backends: '<name>', users: '<user>', domains: '<domain>' }

export function schemaKeys(which: 'mailmux' | 'routing'): SchemaKey[] {
  return walk(JSON.parse(schemaText(which)) as JsonSchema, '')
}

function walk(schema: JsonSchema, prefix: string): SchemaKey[] {
  const own = Object.entries(schema.properties ?? {}).flatMap(([name, part]) => {
    const path = prefix === '' ? name : `${prefix}.${name}`
    const required = schema.required?.includes(name) ?? false
    return [{ path, description: part.description, default: part.default, required }, ...walk(part, path)]
  })
  const items = schema.items === undefined ? [] : walk(schema.items, `${prefix}[]`)
  const options = (schema.anyOf ?? []).flatMap((option) => walk(option, prefix))
  const named =
    typeof schema.additionalProperties === 'object'
      ? walk(schema.additionalProperties, `${prefix}.${NAMES[prefix] ?? '<name>'}`)
      : []
  return [...own, ...items, ...options, ...named]
}
