/** The peers, in the order of the table's columns. A new one is a file here and a line below. */
import { bare, bareBun } from './bare.ts'
import { direct } from './direct.ts'
import { dovecot } from './dovecot.ts'
import { haproxy } from './haproxy.ts'
import { mailmux, mailmuxBun, mailmuxRedis, mailmuxStatic } from './mailmux.ts'
import { nginx } from './nginx.ts'
import type { Peer } from './peer.ts'
import { perdition } from './perdition.ts'

export const peers: Peer[] = [
  ...[nginx, haproxy, dovecot, perdition],
  ...[mailmux, mailmuxStatic, mailmuxRedis, mailmuxBun],
  ...[bare, bareBun],
  direct,
]
