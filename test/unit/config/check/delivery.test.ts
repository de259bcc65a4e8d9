/** `delivery` of the main file, and `lmtp` of the back ends. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MAIN, testCases } from '../cases.ts'
import { load, loadSettings } from '../fixture.ts'

const ROUTING = 'backends:\n  store1: {host: 10.0.0.11, imap: 143, pop3: 110, lmtp: 24}\nusers: {ann@x.test: store1}\n'
const main = (delivery: string) => `${MAIN}delivery: {${delivery}}\n`

describe('delivery', () => {
  testCases([
    { it: 'its defaults', main: main(''), routing: ROUTING },
    { it: 'an IPv6 loopback address', main: main("listen: '[::1]:24091'"), routing: ROUTING },
    {
      it: 'another address with clients',
      main: main("listen: '192.0.2.1:24091', clients: [192.0.2.0/24]"),
      routing: ROUTING,
    },
    {
      it: 'another address without clients',
      main: main("listen: '192.0.2.1:24091'"),
      routing: ROUTING,
      error: /^mailmux\.yaml:6:20: an address that is not loopback needs delivery\.clients/,
    },
    { it: 'every address', main: main("listen: '0.0.0.0:24091'"), routing: ROUTING, error: /needs delivery\.clients/ },
    { it: 'a port alone', main: main('listen: 24091'), routing: ROUTING, error: /write the address before the port/ },
    {
      it: 'a network that is none',
      main: main('clients: [10.1.2.3/8]'),
      routing: ROUTING,
      error: /10\.1\.2\.3|beyond|network/,
    },
    {
      it: 'a delimiter that no name has',
      main: main("recipient_delimiter: '@'"),
      routing: ROUTING,
      error: /characters that a user name may have/,
    },
    { it: 'no delimiter', main: main("recipient_delimiter: ''"), routing: ROUTING },
    {
      it: 'the port of a listener',
      main: main("listen: '127.0.0.1:143'"),
      routing: ROUTING,
      error: /port 143 of this address is taken by listener "imap" already/,
    },
    {
      it: 'a listener of its name',
      main: main('').replace('name: imap', 'name: delivery'),
      routing: ROUTING,
      error: /mailmux\.yaml:3:12: is the name of the port of `delivery`/,
    },
    {
      it: 'an auth server',
      main: `${main('')}directory: {auth_http: {url: 'http://127.0.0.1:9000/auth'}}\n`,
      routing: ROUTING,
      error: /mailmux\.yaml:6:1: does nothing with directory\.auth_http/,
    },
    { it: 'back ends without lmtp', main: main(''), error: /no back end has a port for lmtp/ },
    {
      it: 'one back end without lmtp',
      main: main(''),
      routing: ROUTING.replace('users:', '  store2: {host: 10.0.0.12, imap: 143, pop3: 110}\nusers:'),
      warning: /routing\.yaml:3:3: has no port for lmtp: `delivery` defers the mail of its users/,
    },
    { it: 'lmtp without delivery', routing: ROUTING },
    {
      it: 'lmtp beside srv',
      routing: 'backends:\n  store1: {srv: example.test, lmtp: 24}\nusers: {ann@x.test: store1}\n',
      error: /routing\.yaml:2:31: lmtp needs host/,
    },
    {
      it: 'a back end with lmtp alone',
      main: main(''),
      routing: ROUTING.replace('imap: 143, pop3: 110, ', ''),
      error: /serves nothing/,
    },
  ])

  test('shows the place with a caret', (t) => {
    const { text } = load(t, { main: main("listen: '192.0.2.1:24091'"), routing: ROUTING })
    assert.match(text, /delivery: \{listen: '192\.0\.2\.1:24091'\}\n +\S* *\^/)
  })

  test('keeps lmtp apart from the ports of the protocols', (t) => {
    const { delivery, routing } = loadSettings(t, { main: main(''), routing: ROUTING })
    assert.deepEqual(delivery, {
      listen: { host: '127.0.0.1', port: 24091, optional: false },
      clients: [],
      recipientDelimiter: '+',
    })
    const store1 = routing.backends.get('store1')
    assert.deepEqual([store1?.ports, store1?.lmtp], [{ imap: 143, pop3: 110 }, 24])
  })
})
