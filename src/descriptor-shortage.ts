/**
 * Whether this process has a descriptor left. Resolvers do not report that they had none: for glibc the name does not exist when it
 * cannot open its files or a socket (ENOTFOUND, EAI_AGAIN), and for c-ares the name server refuses the connection (ECONNREFUSED).
 */
import fs from 'node:fs'
import { isShortage, systemCode } from './errors.ts'

/** @returns the system's code where no descriptor is left, else undefined */
export function findDescriptorShortage(): string | undefined {
  try {
    fs.closeSync(fs.openSync('/', 'r'))
    return undefined
  } catch (error) {
    return isShortage(error) ? systemCode(error) : undefined
  }
}

/** @param error of a lookup that has just failed. @returns the same error, or one with the code of the shortage where that is the cause */
export function lookupError(error: unknown): Error {
  const given = error instanceof Error ? error : new Error(String(error))
  const code = isShortage(given) ? undefined : findDescriptorShortage()
  return code === undefined ? given : Object.assign(new Error(code, { cause: given }), { code })
}
