/** A browser on a mail port: a web page sends a cross-protocol request, or the URL is mistyped. */

/** RFC 9112 3. Such a connection is closed at once: every answer could be taken for an answer to HTTP. */
export function isHttpRequest(line: string): boolean {
  return /^[A-Z]{3,16} \S+ HTTP\/\d/.test(line)
}
