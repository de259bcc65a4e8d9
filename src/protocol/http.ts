/** A browser on a mail port: a web page sends a cross-protocol request, or the URL is mistyped. */

/** RFC 9112 3. Such a connection is hung up on at once: whatever is answered could be made to look like an answer to HTTP. */
export function isHttpRequest(line: string): boolean {
  return /^[A-Z]{3,16} \S+ HTTP\/\d/.test(line)
}
