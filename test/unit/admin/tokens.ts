/** Tokens of the admin API as the configuration has them. */
import type { AdminToken, Right } from '../../../src/config/settings.ts'
import { createAdminToken } from '../../../src/config/check/admin-files.ts'
import { Secret } from '../../../src/secret.ts'

/** @returns one token with all rights, as of admin.token_file */
export function tokensOf(token: string): AdminToken[] {
  return [tokenWith('token_file', ['read', 'operate'], token)]
}

export function tokenWith(name: string, rights: Right[], token: string): AdminToken {
  return createAdminToken(name, rights, new Secret(token))
}
