/**
 * What real servers mean with a refusal that has no response code, or one that says something else. The words were read in the servers'
 * sources; a refusal that is not in this list, and has no code, is one of the credentials. Pure.
 */

/**
 * - `unavailable`: the server, or what it depends on, has failed, and another attempt may succeed
 * - `account`: the same for this mailbox alone
 * - `limit`: the user, or the address, has too many connections
 * - `locked`: another session has the mailbox
 * - `closed`: the account may not use this protocol
 * - `misconfigured`: the server requires another connection (TLS, for instance) than the configured one
 * - `credentials`: the user or the password is wrong, whatever the code says
 */
export type Meaning = 'unavailable' | 'account' | 'limit' | 'locked' | 'closed' | 'misconfigured' | 'credentials'

type Form = { words: RegExp; means: Meaning }

const FORMS: readonly Form[] = [
  // Dovecot: src/login-common/login-common.h, AUTH_TEMP_FAILED_MSG; without a code before 1.2
  { words: /^Temporary authentication failure/, means: 'unavailable' },
  // Dovecot: src/login-common/client-common.h and mail-storage.h (MAIL_ERRSTR_CRITICAL_MSG); with [IN-USE] in POP3 before 2.3
  { words: /^Internal (?:login failure|error occurred)\. Refer to server log/, means: 'unavailable' },
  // Dovecot: src/login-common/client-common.h, LOGIN_PROXY_FAILURE_MSG
  { words: /^Account is temporarily unavailable\.?$/, means: 'unavailable' },
  // Dovecot: src/login-common/sasl-server.c, ERR_TOO_MANY_USERIP_CONNECTIONS; with [UNAVAILABLE] before 2.3.10
  { words: /^Maximum number of connections from user\+IP exceeded/, means: 'limit' },

  // Cyrus: imap/imapd.c and imap/pop3d.c, proc_checklimits: `maxlogins_per_host`, `maxlogins_per_user`
  { words: /^Too many open connections \(/, means: 'limit' },
  // Cyrus: imap/imapd.c, cmd_login
  { words: /^Login only available under a layer/, means: 'misconfigured' },
  // Cyrus SASL: lib/common.c, sasl_errstring of SASL_FAIL, which saslauthd's absence is, SASL_NOMEM and SASL_UNAVAIL
  {
    words: /^(?:Login failed: )?(?:generic failure|no memory available|remote authentication server unavailable)/,
    means: 'unavailable',
  },

  // Courier: imap/pop3login.C; imap/imaplogin.C says BYE; both hang up
  { words: /^Temporary problem, please try again later/, means: 'unavailable' },
  // Courier: imap/pop3login.C
  { words: /^TLS required to log in/, means: 'misconfigured' },
  // Courier: imap/pop3dserver.C, after the password was right
  { words: /^Your account is temporarily unavailable \(/, means: 'account' },
  { words: /^(?:chdir .* failed|Maildir invalid)/, means: 'account' },
  // Courier: imap/pop3dserver.C, and imap/imapd.C with BYE
  { words: /^(?:POP3|IMAP) access disabled for this account/, means: 'closed' },
  { words: /^(?:POP3|IMAP) access disabled via insecure connection/, means: 'misconfigured' },

  // Exchange: Imap4ResponseFactory and Pop3ResponseFactory, ProcessException ("Server Unavailable. 15", "... 21"); NO and BAD
  { words: /^Server Unavailable\. \d+/, means: 'unavailable' },
  // Exchange: Imap4ResponseFactory, ProcessInvalidState: the password was right and the mailbox cannot be reached
  { words: /^User is authenticated but not connected/, means: 'account' },

  // hMailServer: source/Server/POP3/POP3Connection.cpp
  { words: /^Unable to access mailbox\.?$/, means: 'unavailable' },
  { words: /^Your mailbox is already locked/, means: 'locked' },
  // hMailServer: source/Server/POP3/POP3Connection.cpp and source/Server/IMAP/IMAPCommandLogin.cpp
  { words: /^(?:STARTTLS|STLS|A SSL\/TLS-connection) is required/, means: 'misconfigured' },
  // hMailServer: source/Server/IMAP/IMAPCommandLogin.cpp: BAD, after "Too many invalid logon attempts."
  { words: /^Goodbye$/, means: 'credentials' },

  // Zimbra: com/zimbra/cs/pop3/Pop3Handler.java, the misspelling included; in IMAP with [ALERT]
  { words: /^your account is having maintenance pe[r]?formed/, means: 'account' },
  { words: /^pop access not enabled for account/, means: 'closed' },
  // Zimbra: com/zimbra/cs/imap/ImapHandler.java
  { words: /^account does not have IMAP access enabled/, means: 'closed' },

  // James: org/apache/james/imap/api/display/HumanReadableText.java, GENERIC_FAILURE_DURING_PROCESSING
  { words: /^(?:LOGIN|AUTHENTICATE) processing failed/, means: 'unavailable' },
  // James: org/apache/james/protocols/pop3/core/AbstractPassCmdHandler.java
  { words: /^Unexpected error accessing mailbox/, means: 'unavailable' },

  // Stalwart: crates/trc/src/event/mod.rs, LimitEvent::message; POP3 has no codes there
  { words: /^Too many (?:concurrent (?:connections|requests)|requests|calls in)$/, means: 'limit' },
]

/** @returns undefined for words that no known server has */
export function meaningOf(text: string): Meaning | undefined {
  return FORMS.find(({ words }) => words.test(text))?.means
}
