/** Number of texts whose results are kept: more than the kinds of servers behind one mailmux. */
const MOST_TEXTS = 64

/**
 * A server says the same to each login, and what was made of it is good for the next.
 * @param parse must depend only on the text, and its result must not be changed; the caller bounds the text
 */
export function remember<Result>(parse: (text: string) => Result): (text: string) => Result {
  const known = new Map<string, { result: Result }>()
  return (text) => {
    const found = known.get(text)
    if (found) return found.result
    const result = parse(text)
    if (known.size === MOST_TEXTS) known.clear() // a peer that sends a new text each time must not fill the memory
    known.set(text, { result })
    return result
  }
}
