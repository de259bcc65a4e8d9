/** Writes contrib/kubernetes/base/prometheusrule.yaml from contrib/prometheus/alerts.yaml. A test compares the two. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'

const contrib = join(import.meta.dirname, '../../contrib')
const { groups } = parse(readFileSync(join(contrib, 'prometheus/alerts.yaml'), 'utf8'))
const rule = {
  apiVersion: 'monitoring.coreos.com/v1',
  kind: 'PrometheusRule',
  metadata: { name: 'mailmux' },
  spec: { groups },
}
writeFileSync(
  join(contrib, 'kubernetes/base/prometheusrule.yaml'),
  `# Written by packaging/kubernetes/prometheus-rule.mjs from contrib/prometheus/alerts.yaml.\n${stringify(rule, { lineWidth: 120, singleQuote: true })}`,
)
