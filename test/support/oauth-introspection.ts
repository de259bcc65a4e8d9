/**
 * The part of an OAuth provider that a mail server asks: is this token good, and whose is it (RFC 7662)?
 * With the lines of Dovecot's configuration that make it ask here.
 */
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Scene } from './scene.ts'

export type OauthIntrospection = {
  /** for `extra` of a Dovecot: takes XOAUTH2 and OAUTHBEARER, and asks this server about each token */
  dovecotPassdb: string
  /** the tokens that it was asked about, in order */
  asked: string[]
}

/** @param tokens token to user name; every other token is inactive */
export async function startOauthIntrospection(
  scene: Scene,
  tokens: Readonly<Record<string, string>>,
): Promise<OauthIntrospection> {
  const asked: string[] = []
  const server = createServer((request, response) => {
    const token = (request.headers.authorization ?? '').replace(/^Bearer /, '')
    asked.push(token)
    const username = tokens[token]
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify(username === undefined ? { active: false } : { active: true, username }))
  })
  server.listen({ host: '127.0.0.1', port: 0 })
  await once(server, 'listening')
  scene.closeLater(() => {
    server.close()
    server.closeAllConnections()
  })

  const { port } = server.address() as AddressInfo
  const file = join(scene.directory, 'dovecot-oauth2.conf.ext')
  await writeFile(
    file,
    `introspection_url = http://127.0.0.1:${port}/introspect
introspection_mode = auth
force_introspection = yes
username_attribute = username
active_attribute = active
active_value = true
`,
  )
  return {
    dovecotPassdb: `passdb {
  driver = oauth2
  mechanisms = xoauth2 oauthbearer
  args = ${file}
}
`,
    asked,
  }
}
