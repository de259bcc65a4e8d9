/** `mailmux schema`: what an editor needs to complete and explain the keys of the two files. */
import { z } from 'zod'
import { mainSchema, routingSchema } from '../config/schema/schema.ts'

/**
 * The JSON Schema (draft 2020-12) of one file, as text.
 * It describes what is typed, so durations are texts; what two keys say to each other only `mailmux check` can tell.
 */
export function schemaText(which: 'mailmux' | 'routing'): string {
  const schema = z.toJSONSchema(which === 'mailmux' ? mainSchema : routingSchema, { io: 'input' })
  // `<<` merges an anchored map: legal in every map of these files, but unknown to JSON Schema.
  return `${JSON.stringify(schema, null, 2)}\n`
}
