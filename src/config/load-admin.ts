/**
 * Where a running mailmux answers operators, from the section `admin` of the main file alone: an error elsewhere in the files,
 * or a key that only the service may read, must not prevent a question.
 */
import path from 'node:path'
import type { AdminSettings } from './admin-settings.ts'
import { placeOfSocket } from './admin-socket.ts'
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

/** `socket`: the Unix socket, which is asked first; `configFile`: absolute, by which the mailmux at a default socket is recognised */
export type AdminPlaces = AdminPlace & { socket: AdminSettings['socket']; configFile: string }

/** @returns where to ask, or in words why that cannot be told */
export function loadAdminPlace(mainFile: string, env: Environment): AdminPlaces | { wrong: string } {
  const text = readText(mainFile, MAX_YAML_BYTES)
  if ('wrong' in text) return { wrong: `${mainFile} ${text.wrong}` }
  const problems = createProblems()
  const source = readSource(mainFile, text.value, env, problems)
  const main = readDraft(mainSchema, source, problems).value
  const [first] = problems.list()
  if (main === undefined) return { wrong: first ? (formatProblem(first)[0] ?? '') : `${mainFile} is empty` }
  if (!isWritten(source, ['admin'])) return { wrong: `admin is off: ${mainFile} has no \`admin: {}\`` }
  const { listen, token_file: tokenFile, socket: socketFile } = main.admin ?? {}
  const isBroken = listen === undefined || (tokenFile === undefined && isWritten(source, ['admin', 'token_file']))
  if (isBroken) return { wrong: `admin of ${mainFile} has an error: see mailmux check -c ${mainFile}` }
  const resolve = (file: string): string => path.resolve(path.dirname(mainFile), file)
  const places = {
    ...reachable(listen),
    socket: placeOfSocket(socketFile, resolve),
    configFile: path.resolve(mainFile),
  }
  if (tokenFile === undefined) return { ...places, token: undefined }
  const token = readBearerToken(resolve(tokenFile))
  if ('wrong' in token) return { wrong: `admin.token_file: ${tokenFile} ${token.wrong}` }
  return { ...places, token: token.value }
}

/** `http://`, for those who write the address as a URL. */
const SCHEME = 'http://'
/** Before the path of a Unix socket. */
const UNIX = 'unix:'

/**
 * The place of a running mailmux that an operator names, because the files have another one.
 * @param address as `listen` of `admin`, also as a URL, or `unix:` and the path of a socket
 * @param tokenFile relative to the working directory; undefined: `token` is that of the files
 */
export function readAdminPlace(
  address: string,
  tokenFile: string | undefined,
  token: Secret | undefined,
): AdminPlace | { file: string } | { wrong: string } {
  if (address.startsWith(UNIX)) return { file: path.resolve(address.slice(UNIX.length)) }
  if (address.startsWith('https://')) return { wrong: `--admin ${address} is HTTPS, which mailmux does not serve` }
  const place = parseEndpoint(address.startsWith(SCHEME) ? address.slice(SCHEME.length).replace(/\/$/, '') : address)
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
