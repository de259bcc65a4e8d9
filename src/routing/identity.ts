/** From what a client calls itself to the one name that routes are kept under. Pure. */

/** RFC 5321 4.5.3.1: 64 octets, the @, 255 octets; no mailbox is longer. */
const MAX_USER_LENGTH = 320

const LOCAL_PART = /^[\p{L}\p{N}._+\-=&'~#!$]+$/u
const DOMAIN = /^[\p{L}\p{N}](?:[\p{L}\p{N}.-]*[\p{L}\p{N}])?$/u

/**
 * Adds the default domain, folds the domain's case, and refuses every character that some directory, log or back end might read
 * as more than a part of a name. The local part's case is the back end's business.
 * @param octets the name as it came, latin1
 * @returns undefined where it cannot be anybody's name
 */
export function normaliseUser(octets: string, defaultDomain: string | undefined): string | undefined {
  if (octets.length > MAX_USER_LENGTH) return undefined
  const name = isAscii(octets) ? octets : decodeUtf8(octets)
  if (name === undefined) return undefined
  const at = name.lastIndexOf('@')
  const local = at === -1 ? name : name.slice(0, at)
  const domain = at === -1 ? defaultDomain : name.slice(at + 1)
  if (!LOCAL_PART.test(local)) return undefined
  if (domain === undefined) return local
  return DOMAIN.test(domain) ? `${local}@${domain.toLowerCase()}` : undefined
}

/** The domain of a normalised name. */
export function domainOf(user: string): string | undefined {
  const at = user.indexOf('@')
  return at === -1 ? undefined : user.slice(at + 1)
}

function isAscii(octets: string): boolean {
  return /^[\x00-\x7f]*$/.test(octets)
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

function decodeUtf8(octets: string): string | undefined {
  try {
    // NFC: the same name typed on two keyboards is one key.
    return utf8.decode(Buffer.from(octets, 'latin1')).normalize('NFC')
  } catch {
    return undefined
  }
}
