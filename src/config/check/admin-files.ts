/** The files of `admin`: the token of `token_file`, which has all rights, those of `tokens_file`, and the place of the Unix socket. */
import { createHash } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { Secret } from '../../secret.ts'
import type { Parsed } from '../schema/values.ts'
import type { Reporter } from '../schema/read.ts'
import { placeOfSocket } from '../admin-socket.ts'
import { isRight, RIGHTS, type AdminSettings, type AdminToken, type Right } from '../admin-settings.ts'
import { isLoopback } from './addresses.ts'
import type { Main } from './drafts.ts'
import type { FileReader } from './files.ts'
import { BEARER_TOKEN, readBearerToken, readText } from './pem.ts'

/** `token`: that of `token_file`. `tokens`: those of `tokens_file`, none of them in clear. */
export type AdminFiles = Pick<AdminSettings, 'token' | 'tokens' | 'socket'>

/** The name of the token of `admin.token_file` in the log. */
export const TOKEN_FILE = 'token_file'

export function checkAdminFiles(admin: Main['admin'], readFile: FileReader, report: Reporter): AdminFiles {
  const { token_file: tokenFile, tokens_file: tokensFile, listen } = admin ?? {}
  const token =
    tokenFile === undefined ? undefined : readFile(tokenFile, readBearerToken, ['admin', 'token_file'], report)
  const named =
    tokensFile === undefined ? [] : (readFile(tokensFile, readTokens, ['admin', 'tokens_file'], report) ?? [])
  if (tokensFile !== undefined && isReadableByOthers(readFile.resolve(tokensFile)))
    report.warn(['admin', 'tokens_file'], 'every user of this machine can read this file: chmod o-r')
  // The API lists the sessions, and `explain` tells of users and back ends.
  if (listen !== undefined && !isLoopback(listen.host) && tokenFile === undefined && tokensFile === undefined)
    report.error(['admin', 'listen'], 'an address that is not loopback needs admin.token_file or admin.tokens_file')
  const socket = placeOfSocket(admin?.socket, readFile.resolve)
  if (socket && isTooLong(socket.file)) report.error(['admin', 'socket'], `the path is longer than ${MAX_PATH} octets`)
  return { token, tokens: named, socket }
}

/** sun_path of unix(7) has 108 octets, with a zero at the end. The socket is bound in a directory beside it first, whose name has 11 more. */
const MAX_PATH = 107
const BESIDE = 11

function isTooLong(file: string): boolean {
  return Buffer.byteLength(file) > MAX_PATH || Buffer.byteLength(path.dirname(file)) + BESIDE > MAX_PATH
}

function isReadableByOthers(file: string): boolean {
  try {
    return (fs.statSync(file).mode & fs.constants.S_IROTH) !== 0
  } catch {
    return false // what is wrong with it is reported already
  }
}

/** All tokens that the API takes. */
export function tokensInForce({ admin }: { admin?: AdminSettings | undefined }): readonly AdminToken[] {
  const { token, tokens = [] } = admin ?? {}
  return token ? [createAdminToken(TOKEN_FILE, RIGHTS, token), ...tokens] : tokens
}

/** @param token in clear */
export function createAdminToken(name: string, rights: readonly Right[], token: Secret): AdminToken {
  return { name, rights, digest: new Secret(createHash('sha256').update(token.reveal()).digest('hex')) }
}

/** `openssl rand -hex 8` has 16. A shorter token could be guessed. */
const LEAST_LENGTH = 16
const NAME = /^[\w.@-]{1,100}$/
const DIGEST = /^sha256:([0-9a-f]{64})$/i
/** Three wrong lines are enough to see what the file is. */
const MOST_REPORTED = 3

/** Lines of `name right[,right] token`, empty ones, and comments after `#`. */
export function readTokens(file: string): Parsed<AdminToken[]> {
  const read = readText(file)
  if ('wrong' in read) return read
  const tokens = new Map<string, AdminToken>()
  const wrong: string[] = []
  read.value.split('\n').forEach((text, index) => {
    const words = text.trim().split(/\s+/)
    if (words[0] === '' || words[0]?.startsWith('#')) return
    const parsed = parseLine(words, [...tokens.values()])
    if ('wrong' in parsed) wrong.push(`line ${index + 1}: ${parsed.wrong}`)
    else tokens.set(parsed.value.name, parsed.value)
  })
  if (wrong.length > 0) return { wrong: `has errors: ${wrong.slice(0, MOST_REPORTED).join('; ')}` }
  return tokens.size > 0 ? { value: [...tokens.values()] } : { wrong: 'has no token' }
}

/** No message quotes a word: the words of a line may be in another order, so that each of them may be the token. */
function parseLine(words: readonly string[], before: readonly AdminToken[]): Parsed<AdminToken> {
  const [name = '', list = '', text = ''] = words
  if (words.length !== 3) return { wrong: `needs a name, rights and a token, and has ${words.length} words` }
  if (!NAME.test(name)) return { wrong: 'the name is not of up to 100 letters, digits and . _ @ -' }
  if (name === TOKEN_FILE) return { wrong: `the name ${TOKEN_FILE} is that of the token of admin.token_file` }
  if (before.some((one) => one.name === name)) return { wrong: 'there are two tokens of this name' }
  const rights = list.split(',')
  if (!rights.every(isRight)) return { wrong: 'the rights are not read, operate or read,operate' }
  const token = parseToken(name, rights, text)
  if ('wrong' in token) return token
  const isKnown = before.some(({ digest }) => digest.reveal() === token.value.digest.reveal())
  return isKnown ? { wrong: 'the token is that of another line' } : token
}

function parseToken(name: string, rights: readonly Right[], text: string): Parsed<AdminToken> {
  const [, digest] = DIGEST.exec(text) ?? []
  const effective = rights.includes('operate') ? RIGHTS : rights // an operator sees what an order is about
  if (digest !== undefined) return { value: { name, rights: effective, digest: new Secret(digest.toLowerCase()) } }
  if (!BEARER_TOKEN.test(text)) return { wrong: 'the token has characters that no bearer token has' }
  if (text.length < LEAST_LENGTH) return { wrong: `the token is shorter than ${LEAST_LENGTH} characters` }
  return { value: createAdminToken(name, effective, new Secret(text)) }
}
