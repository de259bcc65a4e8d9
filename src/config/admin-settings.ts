/** The settings of the HTTP for operators, its Unix socket and its tokens. */
import type { Secret } from '../secret.ts'

/** What a token of the admin API may be for: to see, or to change something too. */
export const RIGHTS = ['read', 'operate'] as const

export type Right = (typeof RIGHTS)[number]

export function isRight(text: string): text is Right {
  return RIGHTS.some((right) => right === text)
}

/** `digest`: the SHA-256 of the token, in hexadecimal */
export type AdminToken = { name: string; rights: readonly Right[]; digest: Secret }

/** The HTTP for operators. */
export type AdminSettings = {
  host: string
  port: number
  /** that of `token_file`, in clear for commands of this machine; it has all rights */
  token?: Secret | undefined
  /** those of `tokens_file`; without any token `host` is a loopback address */
  tokens?: readonly AdminToken[]
  /** the Unix socket; `isDefault`: no key names it, and it may be missing. undefined: there is none */
  socket?: { file: string; isDefault: boolean } | undefined
  /** names that it may be asked under, in lower case */
  hosts: readonly string[]
}
