/** A real Prometheus that scrapes the ports that it is given each second or so, and is asked for the values of expressions. */
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { stringify } from 'yaml'
import { START_DEADLINE_MS, until } from './deadline.ts'
import { freePort } from './ports.ts'
import { startProgram } from './processes.ts'
import type { Scene } from './scene.ts'

export type Prometheus = {
  /** The number of series that an expression has now. @throws Error where Prometheus does not take the expression */
  count: (expression: string) => Promise<number>
  /** the names of the alerts that fire now */
  firing: () => Promise<string[]>
}

/**
 * Its job for all of them is called `mailmux`.
 * @param ports of metrics on 127.0.0.1
 * @param rules a file of alerts
 * @param interval of the scrapes, and the most that one may take
 */
export async function startPrometheus(
  scene: Scene,
  ports: readonly number[],
  rules?: string,
  interval = '1s',
): Promise<Prometheus> {
  const directory = join(scene.directory, 'prometheus')
  await mkdir(directory)
  const file = join(directory, 'prometheus.yml')
  const targets = ports.map((port) => `127.0.0.1:${port}`)
  await writeFile(
    file,
    stringify({
      global: { scrape_interval: interval, evaluation_interval: '1s' },
      ...(rules !== undefined && { rule_files: [rules] }),
      scrape_configs: [{ job_name: 'mailmux', static_configs: [{ targets }] }],
    }),
  )
  const port = await freePort()
  const args = [
    `--config.file=${file}`,
    `--storage.tsdb.path=${directory}/data`,
    `--web.listen-address=127.0.0.1:${port}`,
  ]
  const program = startProgram(scene, { name: 'prometheus', command: 'prometheus', args })
  const isReady = async (): Promise<true | undefined> => {
    const exit = program.exit()
    if (exit !== undefined) throw new Error(`prometheus ended: ${program.stderr()}`)
    const answer = await fetch(`http://127.0.0.1:${port}/-/ready`).catch(() => undefined)
    await answer?.arrayBuffer()
    return answer?.ok === true || undefined
  }
  await until(START_DEADLINE_MS, isReady, () => `prometheus is not ready: ${program.stderr()}`)
  return {
    async count(expression) {
      const query = new URLSearchParams({ query: expression })
      const answer = await fetch(`http://127.0.0.1:${port}/api/v1/query?${query.toString()}`)
      const body = (await answer.json()) as { status: string; error?: string; data?: { result: unknown[] } }
      if (body.status !== 'success' || !body.data) throw new Error(`${expression}: ${body.error ?? answer.statusText}`)
      return body.data.result.length
    },
    async firing() {
      const answer = await fetch(`http://127.0.0.1:${port}/api/v1/alerts`)
      const body = (await answer.json()) as {
        data: { alerts: { state: string; labels: { alertname: string } }[] }
      }
      return body.data.alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels.alertname)
    },
  }
}
