/** Builds the Debian package for tests: quickly, and in any version. */
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

const checkout = join(import.meta.dirname, '../..')

/** Makes the archive of `npm pack` in `directory`. It builds `dist/` of the checkout: one at a time. */
export function packArchive(directory: string): string {
  const options = { cwd: checkout, encoding: 'utf8' } as const
  const name = execFileSync('npm', ['pack', '--silent', '--pack-destination', directory], options).trim()
  return join(directory, name.split('\n').at(-1) ?? '')
}

/** The same archive with another version in its package.json. */
export function asVersion(archive: string, version: string): string {
  const work = mkdtempSync(join(dirname(archive), 'version-'))
  execFileSync('tar', ['--extract', '--gzip', '--directory', work, '--file', archive])
  const file = join(work, 'package/package.json')
  writeFileSync(file, JSON.stringify({ ...(JSON.parse(readFileSync(file, 'utf8')) as object), version }))
  const result = join(work, `mailmux-${version}.tgz`)
  execFileSync('tar', ['--create', '--gzip', '--directory', work, '--file', result, 'package'])
  return result
}

/**
 * @param bun the Bun for the package; by default it gets the Node that runs this
 * @returns the file of the package. It is hardly compressed, which takes seconds and not minutes.
 */
export function buildPackage(archive: string, directory: string, { compression = 'gzip -z1', bun = '' } = {}): string {
  mkdirSync(directory, { recursive: true })
  const nodeHome = join(dirname(process.execPath), '..')
  const env = { ...process.env, ARCHIVE: archive, NODE_HOME: nodeHome, DEB_COMPRESSION: compression, BUN: bun }
  return execFileSync(join(checkout, 'packaging/debian/build.sh'), [directory], { env, encoding: 'utf8' }).trim()
}
