/** Says what a request has wrong, one line for each mistake, which begins with its place: `body.over: ...`. */
import { z } from 'zod'

/** A name that a client has made up is echoed up to this length. */
const MOST_ECHOED = 40

/** @param where `path`, `query` or `body` */
export function describeIssues(where: string, schema: z.ZodType, error: z.ZodError): string[] {
  return error.issues.flatMap((issue) => {
    const place = `${where}${issue.path.map(placeOf).join('')}`
    if (issue.code === 'unrecognized_keys') {
      return issue.keys.map((key) => `${place}.${key.slice(0, MOST_ECHOED)}: is not known${knownOf(schema, issue)}`)
    }
    return [`${place}: ${isMissing(issue) ? 'is missing' : issue.message}`]
  })
}

function placeOf(key: PropertyKey): string {
  return `.${String(key).slice(0, MOST_ECHOED)}`
}

/** zod has no code of its own for a key that is absent. */
function isMissing(issue: z.core.$ZodIssue): boolean {
  return issue.code === 'invalid_type' && issue.message.endsWith('received undefined')
}

/** The keys that there are, of the outermost object alone. */
function knownOf(schema: z.ZodType, issue: z.core.$ZodIssue): string {
  const object = schema instanceof z.ZodOptional ? schema.unwrap() : schema
  if (!(object instanceof z.ZodObject) || issue.path.length > 0) return ''
  const keys = Object.keys(object.shape)
  return keys.length === 0 ? ', as there are none here' : `; known are ${keys.join(', ')}`
}
