/** Reads the text of `/metrics` (Prometheus text format 0.0.4). Pure. */

export type Sample = { labels: Readonly<Record<string, string>>; value: number }

/** The samples of each name. */
export type Samples = ReadonlyMap<string, readonly Sample[]>

/** A label's value ends at a quote that no backslash escapes. */
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g
const ESCAPES: Readonly<Record<string, string>> = { n: '\n', '\\': '\\', '"': '"' }

/** Lines of another form are passed over. */
export function parseSamples(text: string): Samples {
  const samples = new Map<string, Sample[]>()
  for (const line of text.split('\n')) {
    const [, name, list = '', digits = ''] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
    const value = digits === '+Inf' ? Infinity : Number(digits)
    if (name === undefined || Number.isNaN(value)) continue
    const labels: Record<string, string> = {}
    for (const [, key = '', escaped = ''] of list.matchAll(LABEL))
      labels[key] = escaped.replace(/\\(.)/g, (_, one: string) => ESCAPES[one] ?? one)
    const of = samples.get(name)
    if (of) of.push({ labels, value })
    else samples.set(name, [{ labels, value }])
  }
  return samples
}
