/**
 * The status page at `/`: a fixed map of files of this folder and of installed packages, without a build step. It holds no data: its
 * scripts ask the API, with the token that the operator gives.
 */
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { Context, Hono } from 'hono'
import type { AdminEnv } from './access.ts'

const HTML = 'text/html; charset=utf-8'
const SCRIPT = 'text/javascript; charset=utf-8'
const STYLE = 'text/css; charset=utf-8'

/** Files of `page/`. */
const OWN = [
  'app.js',
  'charts.js',
  'backends.js',
  'client.js',
  'confirm.js',
  'explain.js',
  'format.js',
  'html.js',
  'overview.js',
  'problems.js',
  'refusals.js',
  'sessions-list.js',
  'sessions.js',
  'site.js',
] as const

/** A bare specifier in the modules, the file of the package, and its place under `/page/`. */
const PACKAGES = [
  { specifier: 'preact', file: 'preact/dist/preact.mjs', path: 'preact.js' },
  { specifier: 'preact/hooks', file: 'preact/hooks/dist/hooks.mjs', path: 'preact-hooks.js' },
  { specifier: 'htm', file: 'htm/dist/htm.mjs', path: 'htm.js' },
  { specifier: 'uplot', file: 'uplot/dist/uPlot.esm.js', path: 'uplot.js' },
] as const

/**
 * Nothing from elsewhere and nothing inline. `trusted-types`: no text is ever parsed as HTML, so that a name of a user or a word of a
 * back end cannot become an element. A chart sets styles by CSSOM, which needs no permission.
 */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "img-src 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "form-action 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

type Asset = { body: string; type: string; etag: string }

/** @returns the text, read when it is asked for the first time */
type ReadAsset = () => Promise<Asset>

/** @param needsToken whether the API asks for a token now: the page asks the operator for it before a question fails */
export function addPageRoutes(app: Hono<AdminEnv>, needsToken: () => boolean): void {
  app.get('/page/access', (c) => c.json({ needsToken: needsToken() }))
  for (const [path, read] of buildMap()) app.get(path, (c) => serve(c, read))
}

async function serve(c: Context, read: ReadAsset): Promise<Response> {
  const { body, type, etag } = await read()
  c.header('content-security-policy', CONTENT_SECURITY_POLICY)
  c.header('referrer-policy', 'no-referrer')
  c.header('cache-control', 'no-cache') // an upgrade brings other files under the same names
  c.header('etag', etag)
  if (c.req.header('if-none-match') === etag) return c.body(null, 304)
  return c.body(body, 200, { 'content-type': type })
}

function buildMap(): Map<string, ReadAsset> {
  const { resolve } = createRequire(import.meta.url)
  // A file that is not exported by its package has its place beside one that is.
  const inPackage = (file: string): string => {
    const name = file.split('/')[0] ?? ''
    const main = resolve(name)
    return join(main.slice(0, main.lastIndexOf(`/${name}/`) + 1), file)
  }
  const own = (file: string): string => join(import.meta.dirname, 'page', file)
  return new Map([
    ['/', asset(() => own('index.html'), HTML)],
    ['/page/style.css', asset(() => own('style.css'), STYLE)],
    ['/page/icon.svg', asset(() => own('icon.svg'), 'image/svg+xml')],
    ['/page/uplot.css', asset(() => inPackage('uplot/dist/uPlot.min.css'), STYLE)],
    ...OWN.map((file) => [`/page/${file}`, asset(() => own(file), SCRIPT)] as const),
    ...PACKAGES.map(({ file, path }) => [`/page/${path}`, asset(() => inPackage(file), SCRIPT)] as const),
  ])
}

function asset(find: () => string, type: string): ReadAsset {
  let read: Promise<Asset> | undefined
  return () => {
    read ??= load(find(), type).catch((error: unknown) => {
      read = undefined // a lack of descriptors passes
      throw error
    })
    return read
  }
}

async function load(path: string, type: string): Promise<Asset> {
  const text = await readFile(path, 'utf8')
  const body = type === SCRIPT ? rewriteSpecifiers(text) : text
  const hash = createHash('sha256').update(body).digest('base64url').slice(0, 22)
  return { body, type, etag: `"${hash}"` }
}

/** Browsers resolve no bare specifiers, and an import map would have to be inline. */
export function rewriteSpecifiers(source: string): string {
  return source
    .replace(/(\b(?:from|import)\s*)(["'])([\w/-]+)\2/gu, (found, before: string, quote: string, specifier: string) => {
      const known = PACKAGES.find((one) => one.specifier === specifier)
      return known ? `${before}${quote}/page/${known.path}${quote}` : found
    })
    .replace(/^\/\/# sourceMappingURL=.*$/mu, '')
}
