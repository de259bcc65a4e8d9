/** What the clients of the upgrade soak say in each protocol, and how they see that an answer is complete. Its store agrees on it. */
export const PASSWORD = 'secret'
/** Of the text that each command fetches: 5 KB. */
export const BODY_LINES = 64

export type StoreAsk = { marks: string[] }
export type StoreAnswer = { imap: number; pop3: number; managesieve: number; seen: boolean[] }

export type LoadProtocol = 'imap' | 'pop3' | 'managesieve'

export type Wire = {
  /** The greeting ends with such a line. */
  isGreeted: RegExp
  /** the commands of a login, and the answer to each that is good */
  login: (user: string) => [command: string, good: RegExp][]
  /** Fetches the text. `mark` is a number with an `m` before it, which no other command has. */
  command: (mark: string) => string
  /** The last line of its answer. */
  isAnswered: (mark: string) => RegExp
  /** mailmux ends the session. POP3 has no such line. */
  goodbye: RegExp | undefined
  quit: string
}

const plain = (user: string): string => Buffer.from(`\0${user}\0${PASSWORD}`).toString('base64')

export const WIRES: Record<LoadProtocol, Wire> = {
  imap: {
    isGreeted: /^\* OK/,
    login: (user) => [[`a LOGIN ${user} ${PASSWORD}`, /^a OK/]],
    command: (mark) => `${mark} FETCH 1 BODY[]`,
    isAnswered: (mark) => new RegExp(`^${mark} OK`),
    goodbye: /^\* BYE/,
    quit: 'z LOGOUT',
  },
  pop3: {
    isGreeted: /^\+OK/,
    login: (user) => [
      [`USER ${user}`, /^\+OK/],
      [`PASS ${PASSWORD}`, /^\+OK/],
    ],
    command: (mark) => `RETR ${mark.slice(1)}`,
    isAnswered: () => /^\.$/,
    goodbye: undefined,
    quit: 'QUIT',
  },
  managesieve: {
    isGreeted: /^OK/,
    login: (user) => [[`AUTHENTICATE "PLAIN" "${plain(user)}"`, /^OK/]],
    command: (mark) => `GETSCRIPT "${mark}"`,
    isAnswered: () => /^OK/,
    goodbye: /^BYE/,
    quit: 'LOGOUT',
  },
}
