/** Whether a command is in progress in a POP3 session, or an end would undo a deletion. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Pop3Watch } from '../../../../src/protocol/pop3/watch.ts'
import { backend, checkIdle, checkLost, client, show, type Step } from '../../../support/watched.ts'

const create = (): Pop3Watch => new Pop3Watch()
const IDLE = true

const FOLLOWED: Record<string, readonly Step[]> = {
  'a command and its answer': [client('STAT\r\n'), backend('+OK 2 320\r\n', IDLE)],
  'commands in lower case': [client('retr 1\r\n'), backend('+OK\r\n'), backend('x\r\n.\r\n', IDLE)],
  'lines that end in a bare LF': [client('NOOP\n'), backend('+OK\r\n', IDLE)],
  'an empty line, which servers answer': [client('\r\n'), backend('-ERR Unknown command.\r\n', IDLE)],
  'a message': [
    client('RETR 1\r\n'),
    backend('+OK 9 octets\r\nSubject: x\r\n\r\n..\r\n. \r\n.x\r\n'),
    backend('.\r\n', IDLE),
  ],
  'a message that begins and ends with dots': [
    client('TOP 1 0\r\n'),
    backend('+OK\r\n..\r\n.\r', false),
    backend('\n', IDLE),
  ],
  'an answer without lines': [client('LIST\r\n'), backend('+OK\r\n.\r\n', IDLE)],
  'a refused RETR': [client('RETR 9\r\n'), backend('-ERR no such message\r\n', IDLE)],
  'LIST and UIDL of one message': [
    client('LIST 1\r\n'),
    backend('+OK 1 120\r\n', IDLE),
    client('UIDL 1\r\n'),
    backend('+OK 1 x\r\n', IDLE),
  ],
  'LIST and UIDL of all messages': [
    client('LIST \r\nUIDL\r\n'),
    backend('+OK\r\n1 120\r\n.\r\n'),
    backend('+OK\r\n1 x\r\n.\r\n', IDLE),
  ],
  'lists of capabilities, mechanisms and languages': [
    client('CAPA\r\nAUTH\r\nLANG\r\n'),
    backend('+OK\r\nTOP\r\n.\r\n+OK\r\nPLAIN\r\n.\r\n+OK\r\n* i-default\r\n'),
    backend('.\r\n', IDLE),
  ],
  'commands of several lines in lower case, with and without arguments': [
    ...['retr 1', 'top 1 0', 'capa', 'capa x', 'list', 'uidl', 'auth', 'lang', 'LiSt  '].flatMap((command) => [
      client(`${command}\r\n`),
      backend('+OK\r\n'),
      backend('.\r\n', IDLE),
    ]),
    ...['list 1', 'uidl 1', 'lang de', 'auth x', 'stat', 'listx', 'xlist', 'retrretrretrretrretr 1'].flatMap(
      (command) => [client(`${command}\r\n`), backend('+OK\r\n', IDLE)],
    ),
  ],
  'a command behind spaces, which has no name': [client('  LIST\r\n'), backend('-ERR\r\n', IDLE)],
  'a command with CRs before its end': [client('LIST\r\r\n'), backend('+OK\r\n'), backend('.\r\n', IDLE)],
  'half a command, and half an answer': [
    client('NO'),
    client('OP\r'),
    client('\n'),
    backend('+'),
    backend('OK\r'),
    backend('\n', IDLE),
  ],
  'answers in lower case': [client('NOOP\r\n'), backend('+ok\r\n', IDLE)],
  'lines that only look like the last one': [
    client('RETR 1\r\nNOOP\r\n'),
    backend('+OK\r\nx\n.\r\n\r.\r\nx.\r\n\r\n.x\r\n\r\n.\r\r\n..\r\n'),
    backend('.\r\n'),
    backend('+OK\r\n', IDLE),
  ],
  'commands behind a message with and without a deletion': [
    client('RETR 1\r\nDELE 1\r\nRETR 2\r\n'),
    backend('+OK\r\nx\r\n.\r\n+OK\r\n-ERR\r\n'),
    client('RSET\r\n'),
    backend('+OK\r\n', IDLE),
  ],
  'a QUIT that is refused': [client('QUIT\r\n'), backend('-ERR busy\r\n'), client('NOOP\r\n'), backend('+OK\r\n')],
  'as many unanswered commands as clients may send': [
    client('NOOP\r\n'.repeat(1000)),
    backend('+OK\r\n'.repeat(1000), IDLE),
  ],
  'pipelined commands': [
    client('RETR 1\r\nRETR 2\r\nNOOP\r\nRETR 3\r\n'),
    backend('+OK\r\nSubject: one.\r\n..\r\n.\r\n-ERR gone\r\n+OK\r\n'),
    backend('+OK\r\na line of some length.\r\nanother one.\r\n\r\n'),
    backend('.\r\n', IDLE),
  ],
  'a deletion up to QUIT': [
    client('DELE 1\r\n'),
    backend('+OK\r\n'),
    client('NOOP\r\n'),
    backend('+OK\r\n'),
    client('QUIT\r\n'),
    backend('+OK bye\r\n'),
  ],
  'a deletion that is refused': [client('DELE 9\r\n'), backend('-ERR no such message\r\n', IDLE)],
  'a deletion that the client takes back': [
    client('DELE 1\r\nDELE 2\r\n'),
    backend('+OK\r\n+OK\r\n'),
    client('RSET\r\n'),
    backend('+OK\r\n', IDLE),
  ],
  'a RSET that is refused': [client('DELE 1\r\nRSET\r\n'), backend('+OK\r\n-ERR\r\n')],
  'QUIT without a deletion, until the back end closes': [client('QUIT\r\n'), backend('+OK bye\r\n')],
  'STLS and AUTH that are refused': [client('STLS\r\nAUTH PLAIN\r\n'), backend('-ERR\r\n-ERR\r\n', IDLE)],
}

for (const [what, steps] of Object.entries(FOLLOWED)) test(`follows ${what}`, () => checkIdle(create, steps))

const LOST: Record<string, readonly Step[]> = {
  'at an answer that was not asked for': [backend('-ERR Idle for too long\r\n')],
  'at a line that is no answer': [client('XTND XLST\r\n'), backend('+OK\r\n1 x\r\n')],
  'at a challenge (RFC 5034 4)': [client('AUTH PLAIN\r\n'), backend('+ \r\n')],
  'at a challenge without a space': [client('AUTH PLAIN\r\n'), backend('+\r\n')],
  'at an answer without its sign': [client('NOOP\r\n'), backend('OK\r\n')],
  'at an answer between two signs': [client('NOOP\r\n'), backend(',OK\r\n')],
  'at a second answer to one command': [client('NOOP\r\n'), backend('+OK\r\n+OK\r\n')],
  'at lines behind the last one': [client('LIST\r\n'), backend('+OK\r\n.\r\n.\r\n')],
  'behind STLS': [client('STLS\r\n'), backend('+OK\r\n')],
  'at more unanswered commands than any client sends': [client('NOOP\r\n'.repeat(1001))],
}

for (const [what, steps] of Object.entries(LOST))
  test(`says that it cannot follow ${what}`, () => checkLost(create, steps))

test('finds the end of a large message in pieces of any size', () => {
  const message = `+OK\r\n${'..\r\n.x\r\nsome text.\r\n'.repeat(20_000)}.\r\n`
  for (const size of [1000, 4096, 65_536]) {
    const watch = create()
    assert.ok(show(watch, 'client', 'RETR 1\r\n'))
    for (let at = 0; at < message.length; at += size) {
      assert.equal(watch.isIdle(), false)
      assert.ok(show(watch, 'backend', message.slice(at, at + size)))
    }
    assert.equal(watch.isIdle(), true)
  }
})
