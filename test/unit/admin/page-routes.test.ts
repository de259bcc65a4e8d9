/** The files of the status page: which there are, what they may load, and who gets them. */
import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { Hono } from 'hono'
import type { AdminEnv } from '../../../src/admin/access.ts'
import { forbidBrowsers, refuseOtherSites } from '../../../src/admin/guard.ts'
import { addPageRoutes, rewriteSpecifiers } from '../../../src/admin/page-routes.ts'

const FOLDER = join(import.meta.dirname, '../../../src/admin/page')

function open({ needsToken = false } = {}) {
  const app = new Hono<AdminEnv>()
  app.use(
    forbidBrowsers,
    refuseOtherSites(() => undefined),
  )
  addPageRoutes(app, () => needsToken)
  return (path: string, headers: Record<string, string> = {}) =>
    Promise.resolve(app.request(`http://127.0.0.1:9143${path}`, { headers }))
}

test('serves the page with a policy that permits nothing from elsewhere and nothing inline', async () => {
  const response = await open()('/')
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('content-type'), 'text/html; charset=utf-8')
  const policy = response.headers.get('content-security-policy') ?? ''
  assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self';/)
  for (const part of ["base-uri 'none'", "frame-ancestors 'none'", "form-action 'none'", "trusted-types 'none'"])
    assert.ok(policy.includes(part), part)
  assert.doesNotMatch(policy, /unsafe|https?:|\*/)
  assert.deepEqual(
    ['referrer-policy', 'x-content-type-options'].map((name) => response.headers.get(name)),
    ['no-referrer', 'nosniff'],
  )
  assert.doesNotMatch(await response.text(), /<style|style=|<script>|\son\w+=/)
})

test('serves each file of the folder, and leads each import to a file that it serves', async () => {
  const get = open()
  const files = readdirSync(FOLDER).filter((name) => /\.(js|css|svg)$/.test(name))
  const found = new Set<string>()
  for (const path of files.map((name) => `/page/${name}`)) {
    const response = await get(path)
    assert.equal(response.status, 200, path)
    if (!path.endsWith('.js')) continue
    assert.equal(response.headers.get('content-type'), 'text/javascript; charset=utf-8')
    const source = await response.text()
    for (const [, to = ''] of source.matchAll(/\bfrom\s*["']([^"']+)["']/g)) {
      assert.match(to, /^(\.\/[\w-]+\.js|\/page\/[\w-]+\.js)$/, path)
      found.add(to.replace('./', '/page/'))
    }
  }
  for (const path of found) assert.equal((await get(path)).status, 200, path)
  assert.ok(found.has('/page/uplot.js') && found.has('/page/preact-hooks.js'))
  assert.equal((await get('/page/uplot.css')).status, 200)
})

test('serves nothing beside the fixed map', async () => {
  const get = open()
  for (const path of ['/page/', '/page/index.html', '/page/tsconfig.json', '/page/../admin.ts', '/page/%2e%2e/api.ts'])
    assert.equal((await get(path)).status, 404, path)
})

test('lets a browser keep a file until it changes', async () => {
  const get = open()
  const etag = (await get('/page/style.css')).headers.get('etag') ?? ''
  assert.equal((await get('/page/style.css', { 'if-none-match': etag })).status, 304)
  assert.equal((await get('/page/style.css', { 'if-none-match': '"other"' })).status, 200)
})

test('tells whether a token is needed', async () => {
  for (const needsToken of [true, false])
    assert.deepEqual(await (await open({ needsToken })('/page/access')).json(), { needsToken })
})

test('opens for a link on a page of another site, which may load no other part of it', async () => {
  const get = open()
  const foreign = { 'sec-fetch-site': 'cross-site' }
  assert.equal((await get('/', { ...foreign, 'sec-fetch-mode': 'navigate' })).status, 200)
  assert.equal((await get('/', { ...foreign, 'sec-fetch-mode': 'no-cors' })).status, 403)
  for (const path of ['/page/app.js', '/page/access'])
    assert.equal((await get(path, { ...foreign, 'sec-fetch-mode': 'navigate' })).status, 403, path)
})

test('rewrites bare specifiers of its packages, and no others', () => {
  assert.equal(
    rewriteSpecifiers(
      `import{h}from"preact";import x from 'htm'\nimport { y } from './y.js'\nexport*from"preact/hooks"`,
    ),
    `import{h}from"/page/preact.js";import x from '/page/htm.js'\nimport { y } from './y.js'\nexport*from"/page/preact-hooks.js"`,
  )
  assert.equal(rewriteSpecifiers("import 'other'"), "import 'other'")
})
