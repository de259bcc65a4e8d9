/** What load generator, back ends and peers agree on: who logs in, and what is fetched and appended. */

/** Lines of 76 characters, as a mail body has them; 1 MiB. */
export const MESSAGE = Buffer.alloc(1024 * 1024, `${'m'.repeat(76)}\r\n`)

export const DOMAIN = 'example.test'
export const PASSWORD = 'secret'

/** The users are numbered from 0. */
export function userName(number: number): string {
  return `user${number}@${DOMAIN}`
}

/** Those that the load generator logs in as, in front of the sink. */
export const USERS = 1000
