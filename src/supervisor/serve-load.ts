/** The process that loads the configuration once, sends the result, and ends: its own side. */
import { loadConfig, type LoadResult } from '../config/load.ts'
import { buildUserTable, UserTable } from '../config/build/user-table.ts'
import type { Environment } from '../config/yaml/variables.ts'
import { hasCode, isShortage, systemCode } from '../errors.ts'
import { version } from '../version.ts'
import { pack, type Packed } from './packed.ts'
import { tableStream } from './table-stream.ts'

/** The descriptor on which the process writes the table of users. It follows the standard descriptors and the channel. */
export const TABLE_DESCRIPTOR = 4

/** `mainFile`: the path of mailmux.yaml; `version`: that of the supervisor. */
export type LoadOrder = { mainFile: string; version: string }

/**
 * `shortage`: the files cannot be read now, because descriptors or memory are missing. `otherVersion`: another version was installed since
 * the supervisor has started; its settings may have another form.
 */
export type LoadMessage = { result: Packed<LoadResult> } | { shortage: string } | { otherVersion: string }

export type LoadOutput = {
  /** Settles when the message is sent. */
  send: (message: LoadMessage) => Promise<void>
  /** Writes the table of users in the form of `table-stream.ts`. Settles when the octets are sent. */
  write: (octets: Uint8Array) => Promise<void>
}

export async function serveLoad(order: LoadOrder, env: Environment, { send, write }: LoadOutput): Promise<void> {
  if (order.version !== version) return send({ otherVersion: version })
  try {
    const loaded = withUserTable(loadConfig(order.mainFile, env))
    const users = loaded.settings?.routing.users
    if (users instanceof UserTable) for (const octets of tableStream(users)) await write(octets)
    await send({ result: pack(loaded) })
  } catch (error) {
    if (hasCode(error, 'local-shortage')) return send({ shortage: error.message })
    if (isShortage(error)) return send({ shortage: `no memory for the table of users: ${systemCode(error)}` })
    throw error
  }
}

function withUserTable(loaded: LoadResult): LoadResult {
  if (!loaded.settings) return loaded
  const { routing } = loaded.settings
  return {
    ...loaded,
    settings: { ...loaded.settings, routing: { ...routing, users: buildUserTable(routing.users) } },
  }
}
