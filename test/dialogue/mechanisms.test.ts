/** Each SASL mechanism as clients speak it, by IMAP AUTHENTICATE and by POP3 AUTH, from one table. */
import { MECHANISMS } from '../../src/config/settings.ts'
import { alice, base64, testEveryClient, type ClientCase, type RelayedAttempt } from './play.ts'

const facts = { mechanisms: MECHANISMS }

const USERNAME = base64('Username:')
const PASSWORD = base64('Password:')
const ALICE = base64('alice')
const SECRET = base64('secret')

const XOAUTH2 = 'user=alice\x01auth=Bearer vF9dft4qmT\x01\x01'
const OAUTHBEARER = 'n,a=alice,\x01host=mail.example.test\x01port=993\x01auth=Bearer vF9dft4qmT\x01\x01'
const SCRAM = 'n,,n=alice,r=fyko+d2lbbFgONRv9qkxdawL'

function relayed(mechanism: RelayedAttempt['mechanism'], firstMessage: string, user = 'alice'): RelayedAttempt {
  return { user, mechanism, firstMessage, responses: [] }
}

/** What is taken, and the logins that it hands out. */
const TAKEN: Record<string, Pick<ClientCase, 'script' | 'attempts' | 'certifiedUser'>> = {
  'PLAIN with an initial response': {
    script: `C: %AUTH PLAIN ${base64('\0alice\0secret')}`,
    attempts: [alice('PLAIN')],
  },
  'PLAIN without one': {
    script: `
      C: %AUTH PLAIN
      S: +\x20
      C: ${base64('\0alice\0secret')}`,
    attempts: [alice('PLAIN')],
  },
  // RFC 4616 2: alice is whose mailbox it is, admin is whose password
  'PLAIN with an authzid': {
    script: `C: %AUTH PLAIN ${base64('alice\0admin\0secret')}`,
    attempts: [alice('PLAIN', { authcid: 'admin' })],
  },
  'a mechanism in lower case': {
    script: `C: %AUTH plain ${base64('\0alice\0secret')}`,
    attempts: [alice('PLAIN')],
  },
  LOGIN: {
    script: `
      C: %AUTH LOGIN
      S: + ${USERNAME}
      C: ${ALICE}
      S: + ${PASSWORD}
      C: ${SECRET}`,
    attempts: [alice('LOGIN')],
  },
  // as Outlook and getmail send it
  'LOGIN with the name as its initial response': {
    script: `
      C: %AUTH LOGIN ${ALICE}
      S: + ${PASSWORD}
      C: ${SECRET}`,
    attempts: [alice('LOGIN')],
  },
  'LOGIN whose answers come before the questions': {
    script: `
      C: %AUTH LOGIN
      C: ${ALICE}
      C: ${SECRET}
      S: + ${USERNAME}
      S: + ${PASSWORD}`,
    attempts: [alice('LOGIN')],
  },
  'XOAUTH2 with an initial response': {
    script: `C: %AUTH XOAUTH2 ${base64(XOAUTH2)}`,
    attempts: [relayed('XOAUTH2', XOAUTH2)],
  },
  'XOAUTH2 without one': {
    script: `
      C: %AUTH XOAUTH2
      S: +\x20
      C: ${base64(XOAUTH2)}`,
    attempts: [relayed('XOAUTH2', XOAUTH2)],
  },
  OAUTHBEARER: {
    script: `C: %AUTH OAUTHBEARER ${base64(OAUTHBEARER)}`,
    attempts: [relayed('OAUTHBEARER', OAUTHBEARER)],
  },
  'OAUTHBEARER without an initial response': {
    script: `
      C: %AUTH OAUTHBEARER
      S: +\x20
      C: ${base64(OAUTHBEARER)}`,
    attempts: [relayed('OAUTHBEARER', OAUTHBEARER)],
  },
  // `y` says that the client would bind channels if only we did; towards the back end there is none
  'OAUTHBEARER of a client that could bind channels': {
    script: `C: %AUTH OAUTHBEARER ${base64('y,a=alice,\x01auth=Bearer t\x01\x01')}`,
    attempts: [relayed('OAUTHBEARER', 'n,a=alice,\x01auth=Bearer t\x01\x01')],
  },
  // RFC 5801 4: =2C and =3D
  'OAUTHBEARER for a name with a comma and an equals sign': {
    script: `C: %AUTH OAUTHBEARER ${base64('n,a=a=2Cb=3D2C,\x01auth=Bearer t\x01\x01')}`,
    attempts: [relayed('OAUTHBEARER', 'n,a=a=2Cb=3D2C,\x01auth=Bearer t\x01\x01', 'a,b=2C')],
  },
  'SCRAM-SHA-1': {
    script: `C: %AUTH SCRAM-SHA-1 ${base64(SCRAM)}`,
    attempts: [relayed('SCRAM-SHA-1', SCRAM)],
  },
  'SCRAM-SHA-256 without an initial response': {
    script: `
      C: %AUTH SCRAM-SHA-256
      S: +\x20
      C: ${base64(SCRAM)}`,
    attempts: [relayed('SCRAM-SHA-256', SCRAM)],
  },
  'SCRAM of a client that could bind channels, whose proof covers that it says so': {
    script: `C: %AUTH SCRAM-SHA-256 ${base64('y,,n=alice,r=nonce')}`,
    attempts: [relayed('SCRAM-SHA-256', 'y,,n=alice,r=nonce')],
  },
  'SCRAM with an authzid, which names the mailbox': {
    script: `C: %AUTH SCRAM-SHA-256 ${base64('n,a=alice,n=admin,r=nonce')}`,
    attempts: [relayed('SCRAM-SHA-256', 'n,a=alice,n=admin,r=nonce')],
  },
  'SCRAM for a name with a comma and an equals sign': {
    script: `C: %AUTH SCRAM-SHA-256 ${base64('n,,n=a=2Cb=3D2C,r=nonce')}`,
    attempts: [relayed('SCRAM-SHA-256', 'n,,n=a=2Cb=3D2C,r=nonce', 'a,b=2C')],
  },
  'SCRAM with an extension behind the nonce': {
    script: `C: %AUTH SCRAM-SHA-256 ${base64('n,,n=alice,r=nonce,x=1')}`,
    attempts: [relayed('SCRAM-SHA-256', 'n,,n=alice,r=nonce,x=1')],
  },
  // RFC 4422 appendix A
  'EXTERNAL with an empty initial response': {
    certifiedUser: 'alice',
    script: 'C: %AUTH EXTERNAL =',
    attempts: [{ user: 'alice', mechanism: 'EXTERNAL', certified: true }],
  },
  'EXTERNAL with an empty response of its own': {
    certifiedUser: 'alice',
    script: `
      C: %AUTH EXTERNAL
      S: +\x20
      C:\x20`,
    attempts: [{ user: 'alice', mechanism: 'EXTERNAL', certified: true }],
  },
  'EXTERNAL with the authzid of the certificate': {
    certifiedUser: 'alice',
    script: `C: %AUTH EXTERNAL ${ALICE}`,
    attempts: [{ user: 'alice', mechanism: 'EXTERNAL', certified: true }],
  },
}

for (const [what, { script, ...wanted }] of Object.entries(TAKEN))
  testEveryClient(`takes ${what}`, {
    ...wanted,
    facts,
    script: `${script}
      S: %WRONG
      C: %NOOP
      S: %DONE`,
  })

/** What is no message of its mechanism, in octets. */
const MALFORMED: Record<string, readonly string[]> = {
  PLAIN: ['', 'alice', '\0alice', '\0alice\0a\0b', '\0alice\0sec\r\nret', 'a\nb\0alice\0x'],
  XOAUTH2: [
    '',
    'user=alice',
    'auth=Bearer t\x01\x01',
    'user=alice\x01auth=Bearer t\x01',
    'user=alice\x01auth=Bearer t\x01\x01x',
    'user=al\r\nice\x01auth=Bearer t\x01\x01',
    'user=alice\x01auth=\x01\x01',
  ],
  OAUTHBEARER: [
    '',
    // whose token it is would be known to the provider alone: there is no back end to choose
    'n,,\x01auth=Bearer t\x01\x01',
    // bound to our TLS, not to the back end's
    'p=tls-exporter,a=alice,\x01auth=Bearer t\x01\x01',
    'a=alice,\x01auth=Bearer t\x01\x01',
    'n,a=alice\x01auth=Bearer t\x01\x01',
    'n,a=alice,\x01auth=Bearer t\x01',
    'n,a=alice,auth=Bearer t\x01\x01',
    'n,a=al=ice,\x01auth=Bearer t\x01\x01',
    'n,a=al=2cice,\x01auth=Bearer t\x01\x01',
    'n,a=al\nice,\x01auth=Bearer t\x01\x01',
  ],
  'SCRAM-SHA-1': ['', 'n,,n=alice', 'p=tls-unique,,n=alice,r=nonce', 'n,,n=al=ice,r=nonce'],
  'SCRAM-SHA-256': [
    '',
    'alice',
    'n=alice,r=nonce',
    'n,,n=alice,r=',
    'n,,n=alice,r=no nce',
    'n,,n=alice',
    'n,a=,n=alice,r=nonce',
    'p=tls-exporter,,n=alice,r=nonce',
    'n,,m=1,n=alice,r=nonce', // RFC 5802 5.1: m= is to be refused
    'n,,n=al=ice,r=nonce',
    'n,,n=al=2cice,r=nonce',
    'n,,n=alice=,r=nonce',
    'n,a=al=ice,n=admin,r=nonce',
    'n,,n=al\r\nice,r=nonce',
    'n,,n=al\0ice,r=nonce',
  ],
}

for (const [mechanism, messages] of Object.entries(MALFORMED))
  for (const octets of messages)
    testEveryClient(`refuses ${mechanism} that says ${JSON.stringify(octets)}`, {
      facts,
      script: `
        C: %AUTH ${mechanism} ${base64(octets) || '='}
        S: %MALFORMED
        C: %NOOP
        S: %DONE`,
    })

for (const octets of ['al\nice'])
  testEveryClient(`refuses LOGIN for the name ${JSON.stringify(octets)}`, {
    facts,
    script: `
      C: %AUTH LOGIN ${base64(octets) || '='}
      S: + ${PASSWORD}
      C: ${SECRET}
      S: %MALFORMED`,
  })

for (const octets of ['sec\0ret', 'secret\r\nDELE 1'])
  testEveryClient(`refuses LOGIN with the password ${JSON.stringify(octets)}`, {
    facts,
    script: `
      C: %AUTH LOGIN ${ALICE}
      S: + ${PASSWORD}
      C: ${base64(octets)}
      S: %MALFORMED`,
  })

// CVE-2025-59028: refused, and neither skipped nor repaired
for (const text of [
  'AGFsaWNl AGFs',
  'YWxpY2U',
  'YWxp*2U=',
  'YWxpY2U==',
  '====',
  'YWxp"Y2U="',
  'YWxpY2V=A',
  'YWxp\tY2U=',
])
  for (const mechanism of ['PLAIN', 'XOAUTH2', 'OAUTHBEARER', 'SCRAM-SHA-256', 'LOGIN'])
    testEveryClient(`refuses the base64 ${JSON.stringify(text)} as what ${mechanism} says first`, {
      facts,
      script: `
        C: %AUTH ${mechanism}
        S: /^\\+ /
        C: ${text}
        S: %MALFORMED
        C: %NOOP
        S: %DONE`,
    })

testEveryClient('refuses the second answer of LOGIN that is not base64', {
  facts,
  script: `
    C: %AUTH LOGIN ${ALICE}
    S: + ${PASSWORD}
    C: secret!
    S: %MALFORMED`,
})

// RFC 9051 6.2.2, RFC 5034 4
for (const mechanism of ['PLAIN', 'LOGIN', 'XOAUTH2', 'OAUTHBEARER', 'SCRAM-SHA-1', 'SCRAM-SHA-256', 'EXTERNAL'])
  testEveryClient(`lets a client cancel ${mechanism}, and go on`, {
    facts,
    certifiedUser: 'alice',
    script: `
      C: %AUTH ${mechanism}
      S: /^\\+ /
      C: *
      S: %CANCELLED
      C: %AUTH PLAIN ${base64('\0alice\0secret')}
      S: %WRONG`,
    attempts: [alice('PLAIN')],
  })

testEveryClient('lets a client cancel LOGIN at its second question', {
  facts,
  script: `
    C: %AUTH LOGIN
    S: + ${USERNAME}
    C: ${ALICE}
    S: + ${PASSWORD}
    C: *
    S: %CANCELLED`,
})

testEveryClient('counts no cancelled exchange as a bad command', {
  facts,
  script: `${`
    C: %AUTH PLAIN
    S: +\x20
    C: *
    S: %CANCELLED`.repeat(4)}
    C: %NOOP
    S: %DONE`,
})

testEveryClient('ends after three messages that are none', {
  facts,
  script: `
    C: %AUTH PLAIN =
    S: %MALFORMED
    C: %AUTH XOAUTH2 =
    S: %MALFORMED
    C: %AUTH SCRAM-SHA-1 =
    S: %MALFORMED`,
  ending: 'client-too-many-bad-commands',
})

testEveryClient('refuses EXTERNAL for another user than the certificate’s', {
  facts,
  certifiedUser: 'alice',
  script: `
    C: %AUTH EXTERNAL ${base64('mallory')}
    S: %FORBIDDEN
    C: %AUTH EXTERNAL ${base64('Alice')}
    S: %FORBIDDEN
    C: %AUTH EXTERNAL ${base64('alice\0')}
    S: %FORBIDDEN`,
})

testEveryClient('refuses EXTERNAL of a client that has shown no certificate', {
  facts,
  script: `
    C: %AUTH EXTERNAL =
    S: %UNSUPPORTED
    C: %AUTH EXTERNAL ${ALICE}
    S: %UNSUPPORTED`,
})

testEveryClient('takes a wrong password of EXTERNAL’s neighbour for what it is', {
  facts,
  certifiedUser: 'alice',
  script: `
    C: %AUTH PLAIN ${base64('\0bob\0secret')}
    S: %WRONG`,
  attempts: [alice('PLAIN', { user: 'bob', authcid: 'bob' })],
})
