import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildBanner } from '../../../src/protocol/banner.ts'

const FACTS = { hostname: 'mail.example.test', protocol: 'IMAP4', product: 'mailmux', version: '1.20.3' }
const NOW = new Date('2026-03-04T05:06:07Z')

const BANNERS: Record<string, { template: string; text: string }> = {
  'every placeholder': {
    template: '%h %p %P %v %V %% %d',
    text: 'mail.example.test IMAP4 mailmux 1.20 1.20.3 % Wed, 04 Mar 2026 05:06:07 +0000',
  },
  'a text without placeholders': { template: 'hello', text: 'hello' },
  'an empty text': { template: '', text: '' },
  'a percent sign before a letter': { template: '100%%d', text: '100%d' },
  'the date twice': {
    template: '%d/%d',
    text: 'Wed, 04 Mar 2026 05:06:07 +0000/Wed, 04 Mar 2026 05:06:07 +0000',
  },
}

for (const [what, { template, text }] of Object.entries(BANNERS))
  test(`fills in ${what}`, () => {
    assert.equal(buildBanner(template, FACTS)(NOW), text)
  })

test('takes what a version does not say for 0', () => {
  for (const [version, text] of [
    ['2', '2.0 2'],
    ['2.1', '2.1 2.1'],
  ] as const)
    assert.equal(buildBanner('%v %V', { ...FACTS, version })(NOW), text)
})

test('contains the time of each connection, not that of the start', () => {
  const banner = buildBanner('%d', FACTS)
  assert.notEqual(banner(NOW), banner(new Date('2027-01-01T00:00:00Z')))
})

test('reads no placeholder in what it has filled in', () => {
  assert.equal(buildBanner('%h at %d', { ...FACTS, hostname: '%d%P' })(NOW), '%d%P at Wed, 04 Mar 2026 05:06:07 +0000')
})
