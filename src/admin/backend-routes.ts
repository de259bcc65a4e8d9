/** The back ends and the instances in the API. */
import { PROTOCOL_NAMES } from '../protocol/registry.ts'
import { backendsAnswer, instancesAnswer, type BackendAnswer, type InstancesAnswer } from './answers.ts'
import { declare, type Routes } from './declared.ts'

export type BackendParts = {
  backends: () => Promise<BackendAnswer[]>
  instances: () => Promise<InstancesAnswer>
}

const [PROTOCOL] = PROTOCOL_NAMES

const BACKEND = {
  name: 'store1',
  up: true,
  state: 'up',
  stateFrom: 'routing',
  check: 'greeting',
  addresses: [
    {
      protocol: PROTOCOL,
      host: 'store1.example.test',
      ip: '10.0.0.11',
      port: 143,
      source: 'name',
      state: 'up',
      sinceMs: 1_796_000_000_000,
    },
  ],
  leg: { tls: 'starttls', verifies: 'name', trusts: 'system', proxyHeader: 'none', forwardsIdentity: true },
  load: { sessions: 120, logins: 1, waiting: 0, limits: { logins: 50, waitMs: 10_000, queue: 1000 } },
} as const

const listBackends = declare({
  method: 'get',
  path: '/backends',
  right: 'read',
  summary: 'Lists the back ends of the routing file: state, health of each address, load',
  answer: backendsAnswer,
  example: { answer: { backends: [BACKEND] } },
})

const listInstances = declare({
  method: 'get',
  path: '/instances',
  right: 'read',
  summary: 'Lists the instances that use the same Redis',
  answer: instancesAnswer,
  example: {
    answer: {
      instances: [{ id: '0123456789ab', host: 'mail1', state: 'up', self: true, version: '0.2.0', sessions: 120 }],
      scope: 'all',
    },
  },
})

export function addBackendRoutes(routes: Routes, { backends, instances }: BackendParts): void {
  routes.add(listBackends, async () => ({ backends: await backends() }))
  routes.add(listInstances, () => instances())
}
