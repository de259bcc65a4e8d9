/** The kinds of value that the schema is made of: each a zod type with its bounds, its message and its manual entry. */
import { z } from 'zod'
import { didYouMean } from '../yaml/problems.ts'
import type { ListenAddress } from '../settings.ts'
import {
  parseAccount,
  parseAuthUrl,
  parseDomain,
  parseDuration,
  parseEndpoint,
  parseHost,
  parseListen,
  parseName,
  parsePort,
  parseRedisUrl,
  parseSize,
  parseWorkers,
  type Parsed,
} from './values.ts'

/**
 * Keys that had another name before, old name to new, by the schema of the map that holds them. `read.ts` reports an old name as an error
 * that names the new one. Register the schema last: `meta()` and its like return a copy.
 */
export const renamedKeys = z.registry<Readonly<Record<string, string>>>()

/** A zod transform of a parser: its `wrong` becomes the issue. */
function by<I, O>(parse: (input: I) => Parsed<O>): (input: I, context: z.RefinementCtx<I>) => O {
  return (input, context) => {
    const parsed = parse(input)
    if ('value' in parsed) return parsed.value
    context.addIssue(parsed.wrong)
    return z.NEVER
  }
}

function within(
  parse: (text: string) => Parsed<number>,
  [least, most]: [string, string],
): (text: string) => Parsed<number> {
  const value = (text: string): number => {
    const parsed = parse(text)
    // Only the bounds of the schema itself come here.
    if ('wrong' in parsed) throw new Error(`${text} is ${parsed.wrong}`)
    return parsed.value
  }
  const [min, max] = [value(least), value(most)]
  return (text) => {
    const parsed = parse(text)
    if ('wrong' in parsed || (parsed.value >= min && parsed.value <= max)) return parsed
    return { wrong: `must lie between ${least} and ${most}` }
  }
}

/** A duration, in milliseconds. A bare number is refused, because it may mean seconds or milliseconds. */
export function duration(description: string, byDefault: string, bounds: [string, string]) {
  return z
    .string({ error: 'a duration needs its unit: write it as 500ms, 30s, 10m or 24h' })
    .transform(by(within(parseDuration, bounds)))
    .prefault(byDefault)
    .meta({ description: `${description} From ${bounds[0]} to ${bounds[1]}.`, pattern: '^[0-9]+(ms|s|m|h)$' })
}

/** A size, in bytes. */
export function size(description: string, byDefault: string, bounds: [string, string]) {
  return z
    .string({ error: 'a size needs its unit: write it as 512B, 64KiB or 1MiB' })
    .transform(by(within(parseSize, bounds)))
    .prefault(byDefault)
    .meta({ description: `${description} From ${bounds[0]} to ${bounds[1]}.`, pattern: '^[0-9]+(B|KiB|MiB)$' })
}

export function boundedInt(description: string, byDefault: number, bounds: [number, number]): z.ZodDefault<z.ZodInt>
export function boundedInt(description: string, byDefault: undefined, bounds: [number, number]): z.ZodInt
export function boundedInt(description: string, byDefault: number | undefined, [min, max]: [number, number]) {
  const error = `must be a whole number from ${min} to ${max}`
  const described = { description: `${description} From ${min} to ${max}.` }
  const schema = z.int({ error }).min(min, { error }).max(max, { error })
  return byDefault === undefined ? schema.meta(described) : schema.default(byDefault).meta(described)
}

/**
 * One word of a closed list.
 * @param later words that the manual of the finished program knows; they are told apart from slips of the pen
 */
export function choice<const T extends readonly [string, ...string[]]>(
  now: T,
  later: readonly string[],
  description: string,
): z.ZodEnum<z.core.util.ToEnum<T[number]>>
export function choice<const T extends readonly [string, ...string[]]>(
  now: T,
  later: readonly string[],
  description: string,
  byDefault: T[number],
): z.ZodDefault<z.ZodEnum<z.core.util.ToEnum<T[number]>>>
export function choice<const T extends readonly [string, ...string[]]>(
  now: T,
  later: readonly string[],
  description: string,
  byDefault?: T[number],
) {
  const words = now.length === 1 ? `only "${now[0]}"` : `one of ${now.join(', ')}`
  const schema = z.enum(now, {
    error: ({ input }) => {
      if (typeof input !== 'string') return `expected ${words}`
      if (later.includes(input)) return `"${input}" is not built so far: ${words}`
      return `expected ${words}${didYouMean(input, now)}`
    },
  })
  return byDefault === undefined
    ? schema.meta({ description })
    : schema.default(byDefault as never).meta({ description })
}

/** A text that is not empty. */
export function text(description: string, byDefault: string, pattern?: RegExp): z.ZodDefault<z.ZodString>
export function text(description: string, byDefault?: undefined, pattern?: RegExp): z.ZodString
export function text(description: string, byDefault?: string, pattern?: RegExp) {
  const filled = z.string().min(1, { error: 'must not be empty' })
  const schema =
    pattern === undefined ? filled : filled.regex(pattern, { error: 'has characters that are not allowed here' })
  return byDefault === undefined ? schema.meta({ description }) : schema.default(byDefault).meta({ description })
}

/** A text in a small language of its own: what its parser gives. */
export function parsedText(
  parse: (text: string) => Parsed<string>,
  description: string,
): z.ZodPipe<z.ZodString, z.ZodTransform<string, string>>
export function parsedText(
  parse: (text: string) => Parsed<string>,
  description: string,
  byDefault: string,
): z.ZodPrefault<z.ZodPipe<z.ZodString, z.ZodTransform<string, string>>>
export function parsedText(parse: (text: string) => Parsed<string>, description: string, byDefault?: string) {
  const schema = z.string().transform(by(parse))
  return byDefault === undefined ? schema.meta({ description }) : schema.prefault(byDefault).meta({ description })
}

export function name(description: string) {
  return parsedText(parseName, description)
}

/** A user or group of this machine. */
export function account(description: string) {
  return parsedText(parseAccount, description)
}

export function domain(description: string) {
  return parsedText(parseDomain, description)
}

export function hostText(description: string) {
  return parsedText(parseHost, description)
}

/** One address with its port: a bare port is refused where it would open the service to every network. */
export function oneAddress(description: string, byDefault: string) {
  return z
    .string({ error: 'write the address before the port, such as 127.0.0.1:9143' })
    .transform(
      by((text): Parsed<ListenAddress> => {
        const parsed = parseListen(text)
        if ('wrong' in parsed) return parsed
        const [only, ...more] = parsed.value
        if (only === undefined || more.length > 0)
          return { wrong: 'write the address before the port, such as 127.0.0.1:9143' }
        return { value: only }
      }),
    )
    .prefault(byDefault)
    .meta({ description })
}

/** The URL of a Redis. It may carry a password, so no message repeats any of it. */
export function redisUrl(description: string) {
  return z.string().transform(by(parseRedisUrl)).meta({ description, pattern: '^(rediss?://|\\$\\{)' })
}

/** A host with its port. */
export function endpoint(description: string) {
  return z
    .string({ error: 'not a host with a port: write it as redis.example.org:6379' })
    .transform(by(parseEndpoint))
    .meta({ description })
}

/** The URL of an auth server. No message repeats any of it. */
export function authUrl(description: string) {
  return z.string().transform(by(parseAuthUrl)).meta({ description, pattern: '^(https?://|\\$\\{)' })
}

/** A port of a back end. A text is taken too: `${IMAP_PORT}` gives nothing else. */
export function port(description: string) {
  return z
    .union([z.number(), z.string()], { error: 'not a port: a whole number from 1 to 65535' })
    .transform(by(parsePort))
    .meta({ description, examples: [143] })
}

/** How many workers. A text is taken too: `${WORKERS}` gives nothing else. */
export function workers(description: string, byDefault: number) {
  return z
    .union([z.number(), z.string()], { error: 'must be auto, or a whole number from 1 to 64' })
    .transform(by(parseWorkers))
    .prefault(byDefault)
    .meta({ description, examples: ['auto', 1] })
}

export const address = z
  .union([z.number(), z.string()], { error: 'not an address with a port' })
  .transform(by<string | number, ListenAddress[]>(parseListen))
  .meta({ examples: ['0.0.0.0:143', '[::]:143', 143] })
