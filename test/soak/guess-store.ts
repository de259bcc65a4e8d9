/** The store of `guessing.ts`, in a process of its own: the password store, which says when asked how many logins it has checked. */
import { startPasswordStore } from '../support/password-store.ts'
import { openScene } from '../support/scene.ts'

const { port, logins } = await startPasswordStore(openScene())
process.on('message', () => process.send?.({ ok: true, ...logins() }))
process.on('disconnect', () => process.exit(0))
process.send?.({ ok: true, port })
