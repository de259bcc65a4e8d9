/** The greeting's text. Its template was checked when the configuration was loaded. */

export type BannerFacts = { hostname: string; protocol: string; product: string; version: string }

/**
 * Fills everything but the date in, once for a listener.
 * @returns a function that gives the text for a connection made at `now`
 */
export function buildBanner(template: string, facts: BannerFacts): (now: Date) => string {
  const [major = '0', minor = '0'] = facts.version.split('.')
  const fixed: Record<string, string> = {
    '%h': facts.hostname,
    '%p': facts.protocol,
    '%P': facts.product,
    '%v': `${major}.${minor}`,
    '%V': facts.version,
    '%%': '%',
  }
  // Split at the date only: a host name with a % in it is then never read as a placeholder.
  const parts = template.split(/(%.)/u).reduce<string[]>(
    (parts, part) => {
      if (part === '%d') parts.push('')
      else parts.push((parts.pop() ?? '') + (fixed[part] ?? part))
      return parts
    },
    [''],
  )
  let second: number | undefined
  let text = parts[0] ?? ''
  if (parts.length === 1) return () => text
  return (now) => {
    const current = Math.floor(now.getTime() / 1000)
    if (current !== second) text = parts.join(formatDate(now)) // formatting a date costs more than all else in a greeting
    second = current
    return text
  }
}

/** RFC 5322 3.3, in universal time: what the greeting tells is the same on every instance. */
function formatDate(date: Date): string {
  return date.toUTCString().replace('GMT', '+0000')
}
