/** Each server name that a listener passes through must lead to a back end that can complete the client's TLS handshake. */
import type { MainDraft, RoutingDraft } from './drafts.ts'
import { serves } from './endpoints.ts'
import { didYouMean } from '../yaml/problems.ts'
import type { Path, Reporter } from '../schema/read.ts'

/** @param report of the main file, where the rules stand */
export function checkPassthroughBackends(main: MainDraft, routing: RoutingDraft, report: Reporter): void {
  const backends = routing.value?.backends
  if (backends === undefined) return
  main.value?.listeners?.forEach((listener, index) => {
    for (const [pattern, name] of Object.entries(listener?.passthrough ?? {})) {
      if (name === undefined) continue
      const at: Path = ['listeners', index, 'passthrough', pattern]
      if (!Object.hasOwn(backends, name)) {
        report.error(at, `unknown back end "${name}"${didYouMean(name, Object.keys(backends))}`)
        continue
      }
      const backend = backends[name]
      if (backend === undefined) continue
      const protocol = listener?.protocol
      // A port that is written and not understood has its own error.
      if (protocol !== undefined && !serves(routing.source, ['backends', name], protocol)) {
        report.error(at, `back end "${name}" has no port for ${protocol}`)
      }
      if (backend.tls !== undefined && backend.tls !== 'implicit') {
        report.error(
          at,
          `the client's TLS ends at back end "${name}", which has tls: ${backend.tls}; it needs tls: implicit`,
        )
      }
    }
  })
}
