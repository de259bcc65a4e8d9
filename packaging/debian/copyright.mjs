/**
 * Prints debian/copyright: mailmux, the runtime of the package, and each module of npm with the text of its licence.
 *
 *   copyright.mjs LIB node|bun RUNTIME_LICENSE LICENSE
 */
import { existsSync, globSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const [, , lib, runtime, runtimeLicense, license] = process.argv
const runtimeName = { node: 'Node', bun: 'Bun' }[runtime]
const read = (file) => readFileSync(file, 'utf8')
/** Debian has this text once for all packages, and refuses a copy of it. */
const withoutApache = (text) =>
  text.replace(
    /^.*Apache License\s*\n.*Version 2\.0[^]*?(END OF TERMS AND CONDITIONS|$(?![^]))/gm,
    'The text of the Apache License 2.0 is in /usr/share/common-licenses/Apache-2.0.',
  )
/** Lines of a field that goes on: a space before each, a dot for an empty one (Debian Policy 5.6.13). */
const field = (text) =>
  withoutApache(text)
    .trim()
    .split('\n')
    .map((line) => ` ${line.trimEnd() || '.'}`)
    .join('\n')
const holders = (text) => {
  const lines = text.match(/^\W*copyright .*$/gim) ?? ['see the text of the licence']
  return field([...new Set(lines.slice(0, 5).map((line) => line.trim()))].join('\n')).trim()
}

const parts = [
  { files: '*', name: 'Expat', text: read(license) },
  { files: `usr/lib/mailmux/bin/${runtime}`, name: runtimeName, text: read(runtimeLicense) },
]
const modules = globSync('node_modules/**/package.json', { cwd: lib })
  .map(dirname)
  .filter((folder) => /(^|\/)node_modules\/(@[^/]+\/)?[^/]+$/.test(folder))
  .sort()
for (const folder of modules) {
  const { name, license: kind = 'unknown' } = JSON.parse(read(join(lib, folder, 'package.json')))
  const file = readdirSync(join(lib, folder)).find((entry) => /^licen[cs]e/i.test(entry))
  const text =
    file && existsSync(join(lib, folder, file))
      ? read(join(lib, folder, file))
      : `${kind}, by package.json of the module ${name}.`
  parts.push({ files: `usr/lib/mailmux/${folder}/*`, name: `${kind}-${name.replace(/[^a-z0-9.-]/gi, '-')}`, text })
}

process.stdout.write(`Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: mailmux
Comment: The modules of npm and ${runtimeName} are in the package as they were published.

${parts
  .map(({ files, name, text }) => `Files: ${files}\nCopyright: ${holders(text)}\nLicense: ${name}\n${field(text)}\n`)
  .join('\n')}`)
