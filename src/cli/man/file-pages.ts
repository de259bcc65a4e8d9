/** mailmux.yaml(5) and routing.yaml(5): every key, from the schema of the file. */
import { schemaText } from '../schema.ts'
import { bold, item, paragraph, type Page } from './roff.ts'

type Schema = {
  description?: string
  enum?: readonly unknown[]
  properties?: Record<string, Schema>
  additionalProperties?: Schema | boolean
  items?: Schema
  anyOf?: readonly Schema[]
  oneOf?: readonly Schema[]
}

const FILES = {
  mailmux: { summary: 'configuration of mailmux', other: 'routing' },
  routing: { summary: 'back ends and routes of mailmux', other: 'mailmux' },
} as const

export function filePages(edition: Pick<Page, 'date' | 'version'>): Page[] {
  return (['mailmux', 'routing'] as const).map((which): Page => {
    const schema = JSON.parse(schemaText(which)) as Schema
    const { summary, other } = FILES[which]
    return {
      ...edition,
      name: `${which}.yaml`,
      section: 5,
      summary,
      parts: [
        {
          heading: 'DESCRIPTION',
          lines: [
            ...paragraph(
              `The file is YAML 1.2. \`mailmux check\` shows each mistake in it, and an unknown key is one. A dot stands between a key and a key below it, \`[]\` for each entry of a list, and \`NAME\` for a name that is chosen freely.`,
            ),
          ],
        },
        { heading: 'KEYS', lines: keyLines(schema, '') },
        {
          heading: 'SEE ALSO',
          lines: [`${bold('mailmux')}(1), ${bold('mailmux-check')}(1), ${bold(`${other}.yaml`)}(5)`],
        },
      ],
    }
  })
}

function keyLines(schema: Schema, at: string): string[] {
  const { properties = {}, additionalProperties, items, anyOf = [], oneOf = [] } = schema
  const below = at === '' ? '' : `${at}.`
  return [
    ...Object.entries(properties).flatMap(([key, one]) => {
      const path = `${below}${key}`
      return [...item(bold(path), describe(one)), ...keyLines(one, path)]
    }),
    ...(typeof additionalProperties === 'object' ? keyLines(additionalProperties, `${below}NAME`) : []),
    ...(items ? keyLines(items, `${at}[]`) : []),
    ...[...anyOf, ...oneOf].flatMap((one) => keyLines(one, at)),
  ]
}

function describe({ description = '', enum: values }: Schema): string {
  return values ? `${description} Values: ${values.map(String).join(', ')}.`.trim() : description
}
