/** The two files as the checks see them: every value may be missing, because a mistake in it is reported already. */
import type { mainSchema, routingSchema } from '../schema/schema.ts'
import type { Draft, Path, Reporter } from '../schema/read.ts'
import type { Source } from '../yaml/source.ts'

export type MainDraft = Draft<typeof mainSchema>
export type Main = NonNullable<MainDraft['value']>
export type Listener = NonNullable<NonNullable<Main['listeners']>[number]>
export type Redis = NonNullable<NonNullable<Main['directory']>['redis']>
export type AuthHttp = NonNullable<NonNullable<Main['directory']>['auth_http']>

export type RoutingDraft = Draft<typeof routingSchema>
export type Routing = NonNullable<RoutingDraft['value']>
export type Backend = NonNullable<NonNullable<Routing['backends']>[string]>

/** The position of a listener or a back end, and the reporter of its file. */
export type KeyContext = { source: Source; path: Path; report: Reporter }
