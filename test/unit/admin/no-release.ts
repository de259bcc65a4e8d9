/** The release of the ports in an API that is asked for none. */
import type { ReleaseParts } from '../../../src/admin/release-routes.ts'

export const NO_RELEASE: ReleaseParts['release'] = {
  order: () => Promise.reject(new Error('not asked')),
  confirm: () => false,
}
