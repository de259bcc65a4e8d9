/**
 * Where a running mailmux answers operators, from the section `admin` of the main file alone: an error elsewhere in the files,
 * or a key that only the service may read, must not prevent a question.
 */
import path from 'node:path'
import type { Secret } from '../secret.ts'
import { readBearerToken, readText } from './check/pem.ts'
import { createProblems, formatProblem } from './yaml/problems.ts'
import { readDraft } from './schema/read.ts'
import { MAX_YAML_BYTES } from './regular-file.ts'
import { mainSchema } from './schema/schema.ts'
import { parseEndpoint } from './schema/values.ts'
import { isWritten, readSource } from './yaml/source.ts'
import type { Environment } from './yaml/variables.ts'

export type AdminPlace = { host: string; port: number; token: Secret | undefined }

/** @returns where to ask, or in words why that cannot be told */
export function loadAdminPlace(mainFile: string, env: Environment): AdminPlace | { wrong: string } {
  const text = readText(mainFile, MAX_YAML_BYTES)
  if ('wrong' in text) return { wrong: `${mainFile} ${text.wrong}` }
  const problems = createProblems()
  const source = readSource(mainFile, text.value, env, problems)
  const main = readDraft(mainSchema, source, problems).value
  const [first] = problems.list()
  if (main === undefined) return { wrong: first ? (formatProblem(first)[0] ?? '') : `${mainFile} is empty` }
  if (!isWritten(source, ['admin'])) return { wrong: `admin is off: ${mainFile} has no \`admin: {}\`` }
  const { listen, token_file: tokenFile } = main.admin ?? {}
  const isBroken = listen === undefined || (tokenFile === undefined && isWritten(source, ['admin', 'token_file']))
  if (isBroken) return { wrong: `admin of ${mainFile} has an error: see mailmux check -c ${mainFile}` }
  if (tokenFile === undefined) return { ...reachable(listen), token: undefined }
  const token = readBearerToken(path.resolve(path.dirname(mainFile), tokenFile))
  if ('wrong' in token) return { wrong: `admin.token_file: ${tokenFile} ${token.wrong}` }
  return { ...reachable(listen), token: token.value }
}

/**
 * The place of a running mailmux that an operator names, because the files have another one.
 * @param address as `listen` of `admin`
 * @param tokenFile relative to the working directory; undefined: `token` is that of the files
 */
export function readAdminPlace(
  address: string,
  tokenFile: string | undefined,
  token: Secret | undefined,
): AdminPlace | { wrong: string } {
  const place = parseEndpoint(address)
  if ('wrong' in place) return { wrong: `--admin ${address} ${place.wrong}` }
  if (tokenFile === undefined) return { ...reachable(place.value), token }
  const read = readBearerToken(path.resolve(tokenFile))
  return 'wrong' in read
    ? { wrong: `--token-file ${tokenFile} ${read.wrong}` }
    : { ...reachable(place.value), token: read.value }
}

/** "Every address" is one to listen on, not one to connect to. */
export function reachable({ host, port }: { host: string; port: number }): { host: string; port: number } {
  if (host === '0.0.0.0') return { host: '127.0.0.1', port }
  return { host: host === '::' ? '::1' : host, port }
}
