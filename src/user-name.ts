/** Which characters a user's name may have: asked by the configuration of what it holds and by routing of what clients send, so that the two agree. */

/** None that some directory, log, path or back end reads as more than a part of a name: no quote, slash, colon, space, star or percent sign. */
const LOCAL_PART = /^[\p{L}\p{N}._+\-=&'~#!$]+$/u
const DOMAIN = /^[\p{L}\p{N}](?:[\p{L}\p{N}.-]*[\p{L}\p{N}])?$/u

/** RFC 5321 4.5.3.1: 64 octets, the @, 255 octets. No mailbox is longer. */
export const MAX_USER_OCTETS = 320

export function isLocalPart(text: string): boolean {
  return LOCAL_PART.test(text)
}

export function isDomain(text: string): boolean {
  return DOMAIN.test(text)
}
