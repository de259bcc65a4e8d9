/** The status page in a real browser: of a real site with Dovecots and Redis, and of answers that no real site gives. */
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { after, before, describe, test } from 'node:test'
import { join } from 'node:path'
import type { AxeResults } from 'axe-core'
import type { Page } from 'playwright-core'
import type { SessionAnswer } from '../../src/admin/answers.ts'
import { backendStatus, statusOf } from '../support/a-status.ts'
import { busySite } from '../support/busy-site.ts'
import { assertOwnRequests, startChromium, type Visit, type VisitOptions } from '../support/chromium.ts'
import { READ_DEADLINE_MS } from '../support/deadline.ts'
import { startMadeUpAdmin } from '../support/made-up-admin.ts'
import { startSite, type Site } from '../support/site.ts'

const TOKEN = 'e2e-token'
const ALICE = 'alice@example.test'
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8')

let site: Site
let openVisit: (options?: VisitOptions) => Promise<Visit>
before(async () => {
  site = await startSite({ redis: true, mailmux: { adminToken: TOKEN, settings: { workers: 2 } } })
  openVisit = await startChromium(site.scene)
})
after(() => site.close())

const origin = (): string => `http://127.0.0.1:${site.mailmux.ports.admin}`

/** The page of the real site, past its question for the token. */
async function openPage(options?: VisitOptions): Promise<Visit> {
  const visit = await openVisit(options)
  const { page } = visit
  await page.goto(origin())
  await page.getByLabel('Token').fill(TOKEN)
  await page.getByRole('button', { name: 'Show the status' }).click()
  await page.getByRole('heading', { level: 1 }).waitFor()
  return visit
}

/** @returns what axe finds serious or critical, in words. axe runs beside the page's policy, as a tool of the browser does. */
async function findBarriers(page: Page): Promise<string[]> {
  await page.evaluate(AXE)
  const { violations } = await page.evaluate<AxeResults>('axe.run()')
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .map(({ id, nodes }) => `${id}: ${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('; ')}`)
}

describe('the status page of a real site', () => {
  for (const scheme of ['light', 'dark'] as const) {
    for (const isPhone of [false, true]) {
      test(`renders and has no barrier, ${scheme}, ${isPhone ? 'phone' : 'desktop'}`, async () => {
        const visit = await openPage({ scheme, isPhone })
        const { page, context, errors } = visit
        await page.getByRole('heading', { name: 'Everything is well.' }).waitFor()
        for (const name of ['store1', 'store2', 'store3'])
          await page.getByRole('rowheader', { name, exact: true }).waitFor()
        for (const name of ['imap-starttls', 'pop3-implicit']) await page.getByRole('rowheader', { name }).waitFor()
        await page.getByText('Redis keeps the routes.').waitFor()
        assert.deepEqual(await findBarriers(page), [])
        const width = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
        assert.equal(width, 0, 'the page is wider than the screen')
        assert.deepEqual(errors, [])
        assertOwnRequests(visit, origin())
        await context.close()
      })
    }
  }

  test('drains a back end for real, after it says how many sessions that ends', async () => {
    const client = await site.open('imap', 'starttls')
    assert.equal((await client.login(ALICE, 'secret')).accepted, true)
    const visit = await openPage()
    const { page, context, errors } = visit
    await page.getByRole('button', { name: 'Drain store1' }).click()
    const dialog = page.getByRole('dialog', { name: 'Drain store1?' })
    await dialog.getByText('This ends 1 session of all instances.').waitFor()
    assert.deepEqual(await findBarriers(page), [])
    await dialog.getByLabel('Over', { exact: true }).fill('1s')
    await dialog.getByRole('button', { name: 'Drain' }).click()
    await page.getByText('By order: store1 is being drained').waitFor()
    await client.peer.expect(/^\* BYE /, READ_DEADLINE_MS)
    assert.equal(await site.redis!.command('HGET', 'mailmux:backend:store1', 'state'), 'drain')
    await page.getByRole('button', { name: 'Up store1' }).click()
    await page.getByRole('dialog').getByRole('button', { name: 'Up' }).click()
    await page.getByText('By order:').waitFor({ state: 'detached' })
    assert.deepEqual(errors, [])
    assertOwnRequests(visit, origin())
    await context.close()
  })

  test('lists a session, finds it, and ends it', async () => {
    const client = await site.open('imap', 'starttls')
    assert.equal((await client.login('bob@example.test', 'secret')).accepted, true)
    const { page, context, errors } = await openPage()
    await page.getByRole('searchbox', { name: 'Search' }).fill('BOB store2')
    await page.getByRole('button', { name: 'End sessions of bob@example.test' }).click()
    const dialog = page.getByRole('dialog')
    await dialog.getByText('This ends 1 session of all instances.').waitFor()
    await dialog.getByRole('button', { name: 'End' }).click()
    await client.peer.expect(/^\* BYE /, READ_DEADLINE_MS)
    await page.getByText('No session matches the search.').waitFor()
    assert.deepEqual(errors, [])
    await context.close()
  })

  test('shows the errors of a reload with their lines and carets', async () => {
    const good = readFileSync(site.mailmux.routingFile, 'utf8')
    const { page, context, errors } = await openPage()
    writeFileSync(site.mailmux.routingFile, good.replace('backends:', 'backend:'))
    await page.getByText('Attention: The reload').waitFor()
    const shown = page.getByRole('region', { name: 'Errors of the last reload' })
    assert.match(await shown.innerText(), /routing\.yaml:1:1: error: .*\nbackend:\n\^~+/)
    writeFileSync(site.mailmux.routingFile, good)
    await page.getByText('Everything is well.').waitFor()
    assert.deepEqual(errors, [])
    await context.close()
  })

  test('says since when the directory does not answer, and that it is back', async () => {
    const { page, context, errors } = await openPage()
    await page.getByText('Everything is well.').waitFor()
    site.redis!.pause()
    await page.getByText('Wrong: The directory does not answer since').waitFor()
    await page.getByText(/Remembered routes stand in\. They are those of \d+ s ago/).waitFor()
    site.redis!.resume()
    await page.getByText('Everything is well.').waitFor()
    assert.deepEqual(errors, [])
    await context.close()
  })

  test('explains a login, with the last refusals of its user, and refuses a wrong token', async () => {
    const { page, context } = await openPage()
    await page.getByRole('textbox', { name: 'User', exact: true }).fill(ALICE)
    await page.keyboard.press('Enter')
    await page.getByText('would reach a back end').waitFor()
    await page.getByText('This instance remembers none.').waitFor()
    const client = await site.open('pop3', 'implicit')
    assert.equal((await client.login(ALICE, 'wrong-password')).accepted, false)
    await page.getByRole('button', { name: 'Explain' }).click()
    const last = page.locator('#explain .refusals')
    await last.getByText('authentication-failed', { exact: true }).waitFor()
    assert.match(await last.innerText(), /alice@example\.test.* ago, from 127\.0\.0\.1, pop3-implicit, store1/)
    assert.equal((await page.locator('body').innerText()).includes('wrong-password'), false)
    await page.getByRole('textbox', { name: 'User', exact: true }).fill('nemo@example.test')
    await page.keyboard.press('Enter')
    await page.getByText('would be refused').waitFor()
    await page.reload()
    await page.getByLabel('Token').fill('wrong')
    await page.keyboard.press('Enter')
    await page.getByText('the token is not the one of admin.token_file, and none of admin.tokens_file').waitFor()
    await context.close()
  })
})

const HOSTILE = '<img src=x onerror="document.title=1">'
const REVERSED = 'evil\u202e@example.test'
const LONG = `${'x'.repeat(300)}@example.test`

/** `make screenshots` sets it. */
const PICTURES = process.env.SCREENSHOTS

/** Pictures of the page for README and docs. A usual run looks at the same pages and writes nothing. */
describe('the status page of a busy site', () => {
  const views: { name: string; options: VisitOptions; section?: string; height?: number }[] = [
    { name: 'status-page', options: {}, height: 1000 },
    { name: 'status-page-dark', options: { scheme: 'dark' }, height: 1000 },
    { name: 'status-page-phone', options: { isPhone: true } },
    { name: 'status-page-explain', options: {}, section: '#explain' },
    { name: 'status-page-sessions', options: { scheme: 'dark', isPhone: true }, section: '#sessions' },
  ]
  for (const { name, options, section, height } of views) {
    test(`has no barrier and is shown as ${name}.png`, async () => {
      const { origin } = await startMadeUpAdmin(site.scene, busySite(Date.now()))
      const visit = await openVisit(options)
      const { page, context, errors } = visit
      if (height !== undefined) await page.setViewportSize({ width: 1280, height })
      await page.goto(origin)
      await page.getByText('2 things need attention.').waitFor()
      await page.locator('.plot canvas').last().waitFor()
      await page.locator('#refusals').scrollIntoViewIfNeeded()
      await page.getByText('authentication-failed').first().waitFor()
      await page.getByRole('textbox', { name: 'User', exact: true }).fill('alice')
      await page.getByRole('button', { name: 'Explain' }).click()
      await page.getByText('The last refused logins of this user').waitFor()
      await page.locator('#sessions').scrollIntoViewIfNeeded()
      await page.getByRole('rowheader', { name: 'alice@example.org' }).waitFor()
      await page.locator(section ?? '.top').evaluate((element) => element.scrollIntoView({ behavior: 'instant' }))
      assert.deepEqual(await findBarriers(page), [])
      assert.deepEqual(errors, [])
      assertOwnRequests(visit, origin)
      const pictured = section === '#explain' ? page.locator(section) : page
      if (PICTURES !== undefined) await pictured.screenshot({ path: join(PICTURES, `${name}.png`) })
      await context.close()
    })
  }
})

describe('the status page of made-up answers', () => {
  test('shows hostile names, texts and fields as text', async () => {
    const session = (id: string, user: string, client: string): SessionAnswer => {
      return {
        id,
        user,
        client,
        listener: HOSTILE,
        protocol: 'imap',
        phase: 'relaying',
        ageSeconds: 1,
        idleSeconds: 1,
        backend: HOSTILE,
        tls: HOSTILE,
      }
    }
    const { origin } = await startMadeUpAdmin(site.scene, {
      status: () =>
        statusOf({
          nowMs: Date.now(),
          hostname: HOSTILE,
          backends: [backendStatus(HOSTILE, { up: false, addresses: [{ state: 'down', lastError: HOSTILE }] })],
          certificates: [{ file: HOSTILE, notAfterMs: 0, names: [HOSTILE] }],
          config: { file: HOSTILE, loadedMs: 0, failure: { atMs: 0, errors: [`${HOSTILE}\n   ^~~~`] } },
          rejected: [{ name: HOSTILE, count: 1 }],
        }),
      sessions: [session('a', HOSTILE, HOSTILE), session('b', REVERSED, '192.0.2.1'), session('c', LONG, '192.0.2.2')],
      refusals: [
        {
          atMs: 0,
          session: 'a',
          attempted: HOSTILE,
          client: HOSTILE,
          listener: HOSTILE,
          protocol: 'imap',
          mechanism: HOSTILE,
          code: HOSTILE,
          detail: HOSTILE,
        },
      ],
      refusalCounts: [{ code: HOSTILE, count: 1 }],
      explain: () => ({ usable: false, steps: [], refusal: { code: HOSTILE, detail: `${HOSTILE}\u202e` } }),
    })
    const visit = await openVisit({ isPhone: true })
    const { page, context, errors } = visit
    await page.goto(origin)
    await page.locator('#sessions').scrollIntoViewIfNeeded()
    await page.getByRole('rowheader', { name: LONG }).waitFor()
    await page.getByRole('rowheader', { name: 'evil\\u{202e}@example.test' }).waitFor()
    await page.getByRole('textbox', { name: 'User', exact: true }).fill(HOSTILE)
    await page.keyboard.press('Enter')
    await page.getByText('would be refused').waitFor()
    assert.equal(await page.locator('img').count(), 0)
    assert.match(await page.title(), /<img/)
    assert.equal((await page.locator('body').innerText()).includes('\u202e'), false)
    const width = await page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
    assert.equal(width, 0, 'the page is wider than the screen')
    assert.deepEqual(await findBarriers(page), [])
    assert.deepEqual(errors, [])
    assertOwnRequests(visit, origin)
    await context.close()
  })

  test('renders 5,000 sessions in less than a second of its main thread', async () => {
    const sessions = Array.from({ length: 5000 }, (_, index): SessionAnswer => {
      const user = `user${index}@example.test`
      return {
        id: `s${index}`,
        user,
        client: `192.0.2.${index % 250}`,
        listener: 'imaps',
        protocol: 'imap',
        phase: 'relaying',
        backend: 'store1',
        tls: 'TLSv1.3',
        ageSeconds: 5000 - index,
        idleSeconds: 1,
      }
    })
    const { origin } = await startMadeUpAdmin(site.scene, { status: () => statusOf({ nowMs: Date.now() }), sessions })
    const { page, context, errors } = await openVisit()
    const devtools = await context.newCDPSession(page)
    // Time of the processor, so that other programs of the machine do not count.
    await devtools.send('Performance.enable', { timeDomain: 'threadTicks' })
    const busySeconds = async (): Promise<number> => {
      const { metrics } = await devtools.send('Performance.getMetrics')
      return metrics.find(({ name }) => name === 'TaskDuration')?.value ?? NaN
    }
    await page.goto(origin)
    await page.locator('#sessions').scrollIntoViewIfNeeded()
    await page.getByText('5,000 sessions of all instances.').waitFor()
    await page.getByRole('rowheader', { name: 'user0@example.test' }).waitFor()
    const shown = await busySeconds()
    assert.ok(shown > 0 && shown < 1, `${shown} s`)
    await page.getByRole('searchbox', { name: 'Search' }).fill('user4999')
    await page.getByRole('rowheader', { name: 'user4999@example.test' }).waitFor()
    const searched = (await busySeconds()) - shown
    assert.ok(searched < 1, `the search: ${searched} s`)
    assert.deepEqual(errors, [])
    await context.close()
  })

  test('says that the connection is lost and how old the data are, and goes on when mailmux is back', async () => {
    let version = '1.0.0'
    const admin = await startMadeUpAdmin(site.scene, { status: () => statusOf({ nowMs: Date.now(), version }) })
    const { page, context } = await openVisit()
    await page.goto(admin.origin)
    await page.getByText('Everything is well.').waitFor()
    admin.stop()
    await page.getByRole('alert').filter({ hasText: 'The connection to mailmux is lost' }).waitFor()
    await page.getByText(/data [2-9] s old/).waitFor()
    version = '1.0.1'
    await admin.start()
    await page.getByText('1.0.1').waitFor()
    await page.getByText('The connection to mailmux is lost').waitFor({ state: 'detached' })
    await context.close()
  })
})
