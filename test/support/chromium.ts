/** A real browser, Debian's Chromium, for tests of the status page. It reaches nothing beside this machine, and each request is noted. */
import assert from 'node:assert/strict'
import { chromium, type Browser, type BrowserContext, type Page } from 'playwright-core'
import { START_DEADLINE_MS } from './deadline.ts'
import type { Scene } from './scene.ts'

const CHROMIUM = '/usr/bin/chromium'

export type Visit = {
  page: Page
  context: BrowserContext
  /** the addresses of all requests */
  requests: string[]
  /** what the console has of errors, and what was thrown without being caught */
  errors: string[]
}

export type VisitOptions = { scheme?: 'light' | 'dark'; isPhone?: boolean }

/** @returns opens a page in a context of its own */
export async function startChromium(scene: Scene): Promise<(options?: VisitOptions) => Promise<Visit>> {
  // The tests may run as root, for whom Chromium has no sandbox. Background requests of the browser itself would be noise.
  const args = [
    '--no-sandbox',
    '--disable-dev-shm-usage',
    '--disable-background-networking',
    '--force-device-scale-factor=1',
  ]
  const browser: Browser = await chromium.launch({ executablePath: CHROMIUM, args })
  scene.closeLater(() => browser.close())
  return async ({ scheme = 'light', isPhone = false } = {}) => {
    const context = await browser.newContext({
      colorScheme: scheme,
      viewport: isPhone ? { width: 390, height: 844 } : { width: 1280, height: 900 },
      locale: 'en-GB',
      timezoneId: 'UTC',
    })
    const page = await context.newPage()
    page.setDefaultTimeout(START_DEADLINE_MS)
    const visit: Visit = { page, context, requests: [], errors: [] }
    page.on('request', (request) => visit.requests.push(request.url()))
    page.on('console', (message) => {
      if (message.type() === 'error' || message.type() === 'warning') visit.errors.push(message.text())
    })
    page.on('pageerror', (error) => visit.errors.push(String(error)))
    return visit
  }
}

/** Every request went to this origin. */
export function assertOwnRequests({ requests }: Visit, origin: string): void {
  assert.ok(requests.length > 0)
  assert.deepEqual(
    requests.filter((url) => new URL(url).origin !== origin),
    [],
  )
}
