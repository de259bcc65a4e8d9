/** The tree of a YAML file, in which every key and value has its position. */

/** From and to, as offsets into the text. */
export type Range = readonly [number, number]

export type MapEntry = { key: Range; node: YamlNode }
export type MapNode = { kind: 'map'; range: Range; weight: number; entries: Map<string, MapEntry> }
export type ListNode = { kind: 'list'; range: Range; weight: number; items: YamlNode[] }
export type ScalarNode = { kind: 'scalar'; range: Range; weight: number; value: unknown }
export type YamlNode = MapNode | ListNode | ScalarNode
