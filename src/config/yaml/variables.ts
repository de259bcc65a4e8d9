/** `${NAME}` in the texts of the configuration. The environment itself is read in `main.ts` alone, and handed in. */

export type Environment = Readonly<Record<string, string | undefined>>

/** @returns the text with every variable filled in, or the first that cannot be, and why. `$${` stands for `${` itself. */
export function fillVariables(text: string, env: Environment): { value: string } | { at: string; wrong: string } {
  if (!text.includes('${')) return { value: text }
  let failure: { at: string; wrong: string } | undefined
  // Between `://` and the last `@` stands a user and a password: a "/" or "@" in the variable would end it there.
  const scheme = /^[a-z][a-z0-9+.-]*:\/\//iu.exec(text)?.[0].length ?? Infinity
  const userInfoEnd = text.lastIndexOf('@')

  const value = text.replace(/\$?\$\{(?<name>[^}]*)\}?/gu, (found: string, name: string, offset: number) => {
    if (found.startsWith('$$')) return found.slice(1)
    if (!found.endsWith('}') || !/^[A-Za-z_]\w*$/u.test(name)) {
      failure ??= { at: found, wrong: 'not a variable: write ${NAME}, or $${ for the two characters themselves' }
      return ''
    }
    // A name such as `constructor` must not find what every object inherits.
    const filled = Object.hasOwn(env, name) ? env[name] : undefined
    if (filled === undefined) failure ??= { at: found, wrong: `the environment variable ${name} is not set` }
    return offset >= scheme && offset < userInfoEnd ? encodeURIComponent((filled ?? '').toWellFormed()) : (filled ?? '')
  })
  return failure ?? { value }
}
