/** `delivery` of the main file becomes settings. */
import type { z } from 'zod'
import type { mainSchema } from '../schema/schema.ts'
import type { DeliverySettings } from '../settings.ts'

type Delivery = NonNullable<z.output<typeof mainSchema>['delivery']>

export function buildDelivery({ listen, clients, recipient_delimiter }: Delivery): DeliverySettings {
  return { listen, clients, recipientDelimiter: recipient_delimiter }
}
