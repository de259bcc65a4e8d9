import { MAIN, testCases, withListener, type Case } from '../cases.ts'

/** Each guard fires here, and the honest neighbour of each bad case passes without a word. */
const CASES: Case[] = [
  { it: 'a user with a group', main: `${MAIN}user: mailmux\ngroup: mail-users\n` },
  { it: 'a user alone', main: `${MAIN}user: _mailmux\n` },
  { it: 'a group alone', main: `${MAIN}group: mail\n`, error: /^mailmux\.yaml:6:1: does nothing without user/u },
  { it: 'root as the user', main: `${MAIN}user: root\n`, error: /^mailmux\.yaml:6:7: root has all rights/u },
  ...['1000', "'1000'", "'a b'", "''", "'-u'", "'a:b'"].map((user) => ({
    it: `a user that is ${user}`,
    main: `${MAIN}user: ${user}\n`,
    error: /^mailmux\.yaml:6:7: /u,
  })),
  { it: 'a file for the log', main: `${MAIN}log: {file: mailmux.log}\n` },
  { it: 'a device for the log', main: `${MAIN}log: {file: /dev/null}\n` },
  {
    it: 'a log where there is no directory',
    main: `${MAIN}log: {file: absent/mailmux.log}\n`,
    error: /^mailmux\.yaml:6:13: the directory absent does not exist/u,
  },
  {
    it: 'a log below a file',
    main: `${MAIN}log: {file: cert.pem/mailmux.log}\n`,
    error: /^mailmux\.yaml:6:13: the directory cert\.pem does not exist/u,
  },
  { it: 'a directory for the log', main: `${MAIN}log: {file: '.'}\n`, error: /: is a directory/u },
  { it: 'no name for the log', main: `${MAIN}log: {file: ''}\n`, error: /^mailmux\.yaml:6:13: must not be empty/u },
  ...['mailmux.yaml', 'routing.yaml', 'key.pem', './cert.pem'].map((file) => ({
    it: `a log that is written to ${file}`,
    main: `${MAIN}log: {file: ${file}}\n`,
    error: /^mailmux\.yaml:6:13: is a file of the configuration, which would be written over/u,
  })),
  {
    it: 'two listeners of one name',
    main: `${withListener('listen: 1', '')}  - {name: a, protocol: imap, listen: 2}\ntls: {certificates: [{cert: cert.pem, key: key.pem}]}`,
    error: /^mailmux\.yaml:4:12: listener 1 has this name/u,
  },
  {
    it: 'two listeners of two names',
    main: `${withListener('listen: 1', '')}  - {name: b, protocol: imap, listen: 2}\ntls: {certificates: [{cert: cert.pem, key: key.pem}]}`,
  },
  {
    it: 'the same address twice in a list',
    main: withListener("listen: ['127.0.0.1:1', '127.0.0.1:1']"),
    error: /^mailmux\.yaml:2:55: port 1 of this address is taken by listener "a"/u,
  },
  { it: 'every address and one of them', main: withListener("listen: ['0.0.0.0:1', '127.0.0.1:1']"), error: /taken/u },
  { it: 'one address in two spellings', main: withListener("listen: ['[::1]:1', '[0:0::1]:1']"), error: /taken/u },
  { it: 'both families on one port', main: withListener("listen: ['0.0.0.0:1', '[::]:1']") },
  { it: 'two addresses on one port', main: withListener("listen: ['127.0.0.1:1', '127.0.0.2:1', '127.0.0.1:2']") },
  {
    it: 'the admin on the port of a listener',
    main: `${withListener('listen: 9143')}admin: {}`,
    error: /taken by listener "a"/u,
  },
  { it: 'the admin on a port of its own', main: `${MAIN}admin: {}` },
  {
    it: 'starttls without a certificate',
    main: withListener('tls: starttls', ''),
    error: /^mailmux\.yaml:2:36: tls: starttls needs a certificate/u,
  },
  {
    it: 'starttls by default without a certificate',
    main: withListener('listen: 1', ''),
    error: /^mailmux\.yaml:2:5: tls: starttls needs/u,
  },
  {
    it: 'implicit TLS without a certificate',
    main: withListener('tls: implicit', 'tls: {certificates: []}'),
    error: /needs a certificate/u,
  },
  {
    it: 'no TLS and no certificate',
    main: withListener('tls: none, allow_plaintext_auth: true', ''),
    warning: /unencrypted/u,
  },
  {
    it: 'a certificate that no listener uses',
    main: withListener('tls: none, allow_plaintext_auth: true'),
    error: /^mailmux\.yaml:3:1: does nothing: no listener has tls: starttls or implicit/u,
  },
  {
    it: 'plaintext passwords with implicit TLS',
    main: withListener('tls: implicit, allow_plaintext_auth: true'),
    error: /^mailmux\.yaml:2:68: does nothing here/u,
  },
  {
    it: 'plaintext passwords refused with implicit TLS',
    main: withListener('tls: implicit, allow_plaintext_auth: false'),
  },
  {
    it: 'plaintext passwords',
    main: withListener('allow_plaintext_auth: true'),
    warning: /^mailmux\.yaml:2:53: passwords may cross/u,
  },
  {
    it: 'a listener without any way to log in',
    main: withListener('tls: none', ''),
    warning: /no client can log in here/u,
  },
  {
    it: 'trusted proxies without the PROXY protocol',
    main: withListener("trusted_proxies: ['10.0.0.0/8']"),
    error: /^mailmux\.yaml:2:31: does nothing while proxy_protocol is off/u,
  },
  { it: 'no trusted proxies', main: withListener('trusted_proxies: []') },
  { it: 'no PROXY protocol', main: withListener('proxy_protocol: off') },
  { it: 'no worker', main: `${MAIN}workers: 0`, error: /must be auto, or a whole number from 1 to 64/u },
  { it: 'more workers than a machine has cores', main: `${MAIN}workers: 65`, error: /must be auto, or/u },
  { it: 'half a worker', main: `${MAIN}workers: 1.5`, error: /must be auto, or/u },
  { it: 'workers in words', main: `${MAIN}workers: all`, error: /must be auto, or/u },
  { it: 'a list of workers', main: `${MAIN}workers: [2]`, error: /must be auto, or/u },
  { it: 'one worker', main: `${MAIN}workers: 1` },
  { it: 'several workers', main: `${MAIN}workers: 64` },
  { it: 'as many workers as there are cores', main: `${MAIN}workers: auto` },
  { it: 'a short idle limit for IMAP', main: `${MAIN}limits: {idle_imap: 29m}`, warning: /RFC 9051 5\.4/u },
  { it: 'a short idle limit for POP3', main: `${MAIN}limits: {idle_pop3: 9m}`, warning: /RFC 1939 3/u },
  { it: 'the least idle limits', main: `${MAIN}limits: {idle_imap: 30m, idle_pop3: 10m}` },
  {
    it: 'a limit out of its bounds',
    main: `${MAIN}limits: {login_timeout: 31m}`,
    error: /must lie between 1s and 30m/u,
  },
  {
    it: 'an admin beyond loopback without a token',
    main: `${MAIN}admin: {listen: '0.0.0.0:9143'}`,
    error: /^mailmux\.yaml:6:17: an address that is not loopback/u,
  },
  { it: 'an admin on IPv6 loopback', main: `${MAIN}admin: {listen: '[::1]:9143'}` },
  { it: 'an admin on a bare port', main: `${MAIN}admin: {listen: 9143}`, error: /write the address before the port/u },
  {
    it: 'an admin on a bare port as text',
    main: `${MAIN}admin: {listen: '9143'}`,
    error: /write the address before the port/u,
  },
  {
    it: 'a token file that does not exist',
    main: `${MAIN}admin: {token_file: absent}`,
    error: /absent does not exist/u,
  },
  {
    it: 'two directories',
    main: `${MAIN}directory: {static: {}, redis: {url: 'redis://h'}}`,
    error: /^mailmux\.yaml:6:13: there can be one directory/u,
  },
  { it: 'a static directory', main: `${MAIN}directory: {static: {}}` },
  { it: 'a static directory with keys', main: `${MAIN}directory: {static: {file: x}}`, error: /unknown key "file"/u },
  { it: 'a Redis', main: `${MAIN}directory: {redis: {url: 'redis://h'}}` },
  {
    it: 'a Redis by another protocol',
    main: `${MAIN}directory: {redis: {url: 'http://h'}}`,
    error: /not the URL of a Redis/u,
  },
]

testCases(CASES)
