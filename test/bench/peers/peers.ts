/** The peers, in the order of the table's columns. A new one is a file here and a line below. */
import { direct } from './direct.ts'
import { mailmux, mailmuxRedis, mailmuxStatic } from './mailmux.ts'
import { nginx } from './nginx.ts'
import type { Peer } from './peer.ts'

export const peers: Peer[] = [nginx, mailmux, mailmuxStatic, mailmuxRedis, direct]
