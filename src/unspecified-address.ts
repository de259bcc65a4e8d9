/** The unspecified addresses, in every spelling: the configuration refuses them as a destination, and DNS cannot name one. */
import net from 'node:net'

const UNSPECIFIED = new net.BlockList()
UNSPECIFIED.addAddress('0.0.0.0', 'ipv4') // RFC 1122 3.2.1.3 (a); BlockList compares `::ffff:0.0.0.0` with it too
UNSPECIFIED.addAddress('::', 'ipv6') // RFC 4291 2.5.2

/**
 * Whether an address means every address of a machine. As the destination of a connection the system takes it for the loopback, so
 * that mailmux would send passwords to another service of its own machine.
 */
export function isUnspecified(address: string): boolean {
  const [ip = ''] = address.split('%') // a zone: BlockList knows none
  const family = net.isIP(ip)
  return family !== 0 && UNSPECIFIED.check(ip, family === 4 ? 'ipv4' : 'ipv6')
}
