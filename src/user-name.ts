/** Which characters a user's name may have: asked by the configuration of what it holds and by routing of what clients send, so that the two agree. */

/** None that some directory, log, path or back end reads as more than a part of a name: no quote, slash, colon, space, star or percent sign. */
const LOCAL_PART = /^[\p{L}\p{N}._+\-=&'~#!$]+$/u
const DOMAIN = /^[\p{L}\p{N}](?:[\p{L}\p{N}.-]*[\p{L}\p{N}])?$/u

export function isLocalPart(text: string): boolean {
  return LOCAL_PART.test(text)
}

export function isDomain(text: string): boolean {
  return DOMAIN.test(text)
}
