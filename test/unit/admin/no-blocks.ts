/** The blocks of a mailmux whose test needs none. */
import type { BlockOrders } from '../../../src/admin/block-routes.ts'

const refuse = (): ReturnType<BlockOrders['block']> => Promise.resolve({ result: 'wrong', why: 'no blocks here' })

export const NO_BLOCKS: BlockOrders = { list: () => ({ blocks: [] }), block: refuse, unblock: refuse }
