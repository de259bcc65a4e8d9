/** What the demo prints once it serves: commands to copy, the shortest first, and the address of the page last. */
import { join, relative } from 'node:path'

export type Ports = Record<'IMAP' | 'IMAPS' | 'POP3' | 'POP3S' | 'ManageSieve' | 'admin', number>

export type Demo = {
  /** the directory `.demo` */
  home: string
  checkout: string
  password: string
  stores: readonly { name: string; user: string }[]
  /** of each instance */
  instances: readonly Ports[]
  withRedis: boolean
  /** the directory of all mailboxes */
  mail: string
  /** the script that runs mailmux with the configuration of the demo */
  mailmux: string
}

/** @returns the path as it is shortest from the directory of the terminal */
function fromHere(path: string): string {
  const short = relative(process.cwd(), path)
  return short.startsWith('..') ? path : short
}

export function whatToTry(demo: Demo): string {
  const { home, password, stores, instances, withRedis } = demo
  const ca = fromHere(join(home, 'ca.pem'))
  const mailmux = fromHere(demo.mailmux)
  const [first] = instances
  if (first === undefined) return ''
  const line = (user: string, url: string, more = '') =>
    `  curl --cacert ${ca}${more} --user ${user}@example.test:${password} '${url}'`
  const readyLines = instances.map(
    (ports, at) =>
      `mailmux${at > 0 ? ` ${at + 1}` : ''} is ready on 127.0.0.1: IMAP ${ports.IMAP} (STARTTLS), IMAPS ${ports.IMAPS}, POP3 ${ports.POP3} (STLS), POP3S ${ports.POP3S}, ManageSieve ${ports.ManageSieve} (STARTTLS).`,
  )
  const others = instances.slice(1).map(({ IMAPS }) => line('bob', `imaps://localhost:${IMAPS}/INBOX;UID=1`))
  return `
${readyLines.join('\n')}
Behind it: ${stores.map(({ name, user }) => `${name} (${user})`).join(', ')}; every password is "${password}".

Read the first message of each; it says which store it is on:
${line('alice', `imaps://localhost:${first.IMAPS}/INBOX;UID=1`)}
${line('bob', `imap://localhost:${first.IMAP}/INBOX;UID=1`, ' --ssl-reqd')}
${line('carol', `pop3s://localhost:${first.POP3S}/1`)}
${line('carol', `pop3://localhost:${first.POP3}/1`, ' --ssl-reqd')}
${others.length > 0 ? `The same by the other instance:\n${others.join('\n')}\n` : ''}List alice's Sieve scripts (from Debian's package sieve-connect; the password is asked for):
  sieve-connect -s localhost --4 -p ${first.ManageSieve} --tlscafile ${ca} -u alice@example.test --list
${withRedis ? drainAndMove(demo, first, mailmux) : drain(demo, mailmux)}
Why is alice sent where she is, and what does it count?
  ${mailmux} explain alice@example.test
  curl http://127.0.0.1:${first.admin}/metrics

The page: http://127.0.0.1:${first.admin}/  (its token is in ${fromHere(join(home, 'admin.token'))})
Ctrl-C stops everything.
`
}

/** Without Redis a state is written into the routing file, and one instance follows it. */
function drain({ home }: Demo, mailmux: string): string {
  const file = fromHere(join(home, 'static', 'routing.yaml'))
  return `Take store2 out of service, and back: write \`state: drain\` for it into ${file}, and \`state: up\` later:
  ${mailmux} backend list
The routes are in the same file. INSTANCES=2 DIRECTORY=redis keeps them in a Redis, starts a second mailmux, and shows a move.
`
}

/** In another terminal, two minutes. */
function drainAndMove({ home, checkout, mail, password }: Demo, { IMAPS }: Ports, mailmux: string): string {
  const script = fromHere(join(checkout, 'contrib/dsync-move'))
  return `Open a session of bob, and keep it open for two minutes:
  (echo 'a login bob@example.test ${password}'; echo 'b select inbox'; sleep 120) | openssl s_client -quiet -crlf -CAfile ${fromHere(join(home, 'ca.pem'))} -connect localhost:${IMAPS}
Take store2 out of service, in another terminal. The session of bob ends with a goodbye, new logins of bob wait, and go on when it is back:
  ${mailmux} sessions
  ${mailmux} backend drain store2
  ${mailmux} wait store2 --empty
  ${mailmux} backend list
  ${mailmux} backend up store2
Move alice with her mail to store2, whose own mailbox of alice is removed first (docs/maintenance.md):
  rm -r ${fromHere(join(mail, 'store2', 'alice@example.test', 'Maildir'))}
  DSYNC_MOVE_CONF=${fromHere(join(home, 'dsync-move.conf'))} ${mailmux} move alice@example.test store2 --run ${script}
See where she is now, whose message names the store of its arrival, and both instances:
  ${mailmux} route get alice@example.test
  ${mailmux} instances
`
}
