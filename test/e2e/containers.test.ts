/** The Compose file and the Kubernetes manifests: by their schemas, by the programs that read their files, and by a real mailmux. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync, globSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { parse, parseAllDocuments } from 'yaml'
import { z } from 'zod'
import { makeAuthority } from '../support/certificates.ts'
import { MAIN } from '../support/command.ts'
import { START_DEADLINE_MS, until } from '../support/deadline.ts'
import { readSteps } from '../support/dockerfile.ts'
import { freePort } from '../support/ports.ts'
import { startProgram } from '../support/processes.ts'
import { run } from '../support/run.ts'
import { openScene, type Scene } from '../support/scene.ts'
import { composeErrors, fetchSchemas, type Manifest, manifestErrors, unknownFields } from '../support/schemas.ts'

const root = join(import.meta.dirname, '../..')
const read = (path: string): string => readFileSync(join(root, path), 'utf8')

let scene: Scene
before(() => {
  scene = openScene()
  fetchSchemas()
})
after(() => scene.close())

/** Copies a configuration, with the files that it names in `from` in a directory of the test, and checks it. */
async function checkConfiguration(folder: string, from: Record<string, string>): Promise<string> {
  const target = join(scene.directory, folder)
  mkdirSync(target, { recursive: true })
  const leaf = await (await makeAuthority(target)).issue('mailmux')
  const made: Record<string, string> = { cert: leaf.certFile, key: leaf.keyFile }
  for (const name of ['token', 'tickets']) {
    made[name] = join(target, name)
    writeFileSync(made[name], `${'0123456789abcdef'.repeat(4)}\n`)
  }
  for (const name of ['mailmux.yaml', 'routing.yaml']) {
    let text = read(join(folder, name))
    for (const [path, what] of Object.entries(from)) text = text.replaceAll(path, made[what] ?? '')
    writeFileSync(join(target, name), text)
  }
  const { stdout, stderr } = await run(MAIN, ['check', '-c', join(target, 'mailmux.yaml')])
  return (stdout + stderr).replaceAll(target, '')
}

describe('docker/compose.yaml', () => {
  const Mounts = z.object({
    services: z.record(
      z.string(),
      z.object({ volumes: z.array(z.string()).optional(), build: z.object({ context: z.string() }).optional() }),
    ),
  })
  const file = parse(read('docker/compose.yaml'), { merge: true }) as unknown

  test('matches the schema of the Compose Specification', () => {
    // The schema of the package is older than the name of a project in the file.
    const { name, ...rest } = z.looseObject({ name: z.string() }).parse(file)
    assert.equal(name, 'mailmux')
    assert.deepEqual(composeErrors(rest), undefined)
    assert.ok(composeErrors({ services: { mux: { imag: 'x' } } }) !== undefined)
  })

  test('has two mailmux, Redis, three stores, Postfix, Prometheus and Grafana, and mounts files that are there', () => {
    const { services } = Mounts.parse(file)
    for (const name of ['mux1', 'mux2', 'redis', 'store1', 'store2', 'store3', 'postfix', 'prometheus', 'grafana'])
      assert.ok(name in services, name)
    for (const { volumes = [], build } of Object.values(services)) {
      for (const source of volumes.map((volume) => volume.replace(/:.*/, '')))
        if (source.startsWith('.')) assert.ok(existsSync(join(root, 'docker', source)), source)
      if (build) assert.ok(existsSync(join(root, 'docker', build.context)), build.context)
    }
  })

  test('its mailmux accepts the configuration, without a warning', async () => {
    const from = { 'cert.pem': 'cert', 'key.pem': 'key', 'admin.token': 'token', 'tickets.secret': 'tickets' }
    const paths = Object.entries(from).map(([path, what]): [string, string] => [`/run/secrets/mailmux/${path}`, what])
    const text = await checkConfiguration('docker/site/mailmux', Object.fromEntries(paths))
    assert.equal(text, '/mailmux.yaml: OK (5 listeners, 3 back ends, 0 users)\n')
  })

  test('HAProxy, Dovecot, Postfix and Prometheus accept their files', async () => {
    const haproxy = await run('haproxy', ['-c', '-f', join(root, 'docker/site/haproxy.cfg')])
    assert.equal(haproxy.code, 0, haproxy.stdout + haproxy.stderr)
    const dovecot = await run('doveconf', ['-c', join(root, 'docker/site/dovecot.conf')])
    assert.equal(dovecot.code, 0, dovecot.stderr)
    assert.equal(dovecot.stderr, '')
    const postfix = join(scene.directory, 'postfix')
    mkdirSync(postfix)
    writeFileSync(join(postfix, 'main.cf'), read('docker/site/postfix/main.cf'))
    writeFileSync(join(postfix, 'master.cf'), '')
    const { code, stderr } = await run('postconf', ['-c', postfix, '-n'])
    assert.deepEqual([code, stderr], [0, ''])
    const prometheus = join(scene.directory, 'prometheus.yaml')
    const rules = join(root, 'contrib/prometheus/alerts.yaml')
    writeFileSync(prometheus, read('docker/site/prometheus.yaml').replace('/etc/prometheus/mailmux-alerts.yaml', rules))
    const promtool = await run('promtool', ['check', 'config', prometheus])
    assert.equal(promtool.code, 0, promtool.stdout + promtool.stderr)
  })

  test('a Dockerfile has only instructions, and Grafana finds its dashboard where it is mounted', () => {
    const steps = readSteps(join(root, 'docker/site/postfix/Dockerfile'))
    assert.deepEqual(
      steps.map(({ instruction }) => instruction),
      ['FROM', 'RUN', 'EXPOSE', 'CMD'],
    )
    const providers = z.object({ providers: z.array(z.object({ options: z.object({ path: z.string() }) })) })
    const {
      providers: [provider],
    } = providers.parse(parse(read('docker/site/grafana/dashboards.yaml')))
    const { services } = Mounts.parse(file)
    assert.ok(services['grafana']?.volumes?.some((volume) => volume.includes(`${provider?.options.path ?? '?'}/`)))
  })
})

describe('contrib/kubernetes/base', () => {
  const folder = 'contrib/kubernetes/base'
  const names = z
    .object({ resources: z.array(z.string()) })
    .parse(parse(read(`${folder}/kustomization.yaml`))).resources
  const manifests = names.flatMap((name) =>
    parseAllDocuments(read(`${folder}/${name}`)).map((document) => document.toJS() as Manifest),
  )

  test('each manifest matches the schema of its kind, and has no unknown field', async () => {
    assert.ok(manifests.length >= 8)
    for (const manifest of manifests) assert.equal(await manifestErrors(manifest), undefined, manifest.kind)
    assert.equal(await unknownFields(manifests), '')
    const [, deployment] = manifests
    assert.match(await unknownFields([{ ...deployment, spex: {} } as unknown as Manifest]), /"spex"' does not exist/)
  })

  test('the kustomization names every manifest', () => {
    const files = globSync('*.yaml', { cwd: join(root, folder) })
    const others = ['kustomization.yaml', 'mailmux.yaml', 'routing.yaml']
    assert.deepEqual(files.filter((name) => !others.includes(name)).sort(), names.toSorted())
  })

  test('the rules of Prometheus are those of contrib/prometheus (node packaging/kubernetes/prometheus-rule.mjs writes them)', () => {
    const rule = manifests.find(({ kind }) => kind === 'PrometheusRule') as unknown as { spec: unknown }
    assert.deepEqual(rule.spec, parse(read('contrib/prometheus/alerts.yaml')))
  })

  test('selectors, ports and mounts of the manifests belong together', () => {
    const text = read(`${folder}/deployment.yaml`)
    const ports = [...text.matchAll(/name: (\w+), containerPort: (\d+)/g)].map(([, name = '']) => name)
    for (const file of ['service.yaml', 'networkpolicy.yaml', 'servicemonitor.yaml'])
      for (const [, port = ''] of read(`${folder}/${file}`).matchAll(/\b(?:targetPort|port): ([a-z]\w*)/g))
        assert.ok(ports.includes(port), `${file}: ${port}`)
    const version = z.object({ version: z.string() }).parse(JSON.parse(read('package.json'))).version
    assert.match(text, new RegExp(`image: mailmux:${version}\\n`))
    const grace = Number(/terminationGracePeriodSeconds: (\d+)/.exec(text)?.[1])
    assert.ok(grace > 5 + 30, 'longer than --accept-for and shutdown_grace together')
  })

  test('its mailmux accepts the configuration, without a warning', async () => {
    const from = {
      '/etc/mailmux-tls/tls.crt': 'cert',
      '/etc/mailmux-tls/tls.key': 'key',
      '/etc/mailmux-admin/token': 'token',
    }
    const text = await checkConfiguration(folder, from)
    assert.equal(text, '/mailmux.yaml: OK (4 listeners, 2 back ends, 0 users)\n')
  })

  test('a running mailmux takes over a ConfigMap that kubelet swaps, twice', async () => {
    // As kubelet does it: the files are links through `..data`, a link to a directory with a time in its name, replaced by rename.
    const volume = join(scene.directory, 'volume')
    const authority = await makeAuthority(scene.directory)
    const { certFile, keyFile } = await authority.issue('mailmux')
    const [imap, admin, store] = await Promise.all([freePort(), freePort(), freePort()])
    const project = (version: string, users: string): void => {
      mkdirSync(join(volume, version), { recursive: true })
      writeFileSync(
        join(volume, version, 'mailmux.yaml'),
        `listeners: [{name: imap, protocol: imap, listen: "127.0.0.1:${imap}"}]
tls: {certificates: [{cert: ${certFile}, key: ${keyFile}}]}
admin: {listen: "127.0.0.1:${admin}"}
`,
      )
      writeFileSync(
        join(volume, version, 'routing.yaml'),
        `backends: {store1: {host: 127.0.0.1, imap: ${store}, health: {check: none}}}\nusers: {${users}}\n`,
      )
      symlinkSync(version, join(volume, '..data_tmp'))
      renameSync(join(volume, '..data_tmp'), join(volume, '..data'))
    }
    project('..2026_11_30_1', 'alice@example.test: store1')
    for (const name of ['mailmux.yaml', 'routing.yaml']) symlinkSync(join('..data', name), join(volume, name))
    const config = join(volume, 'mailmux.yaml')
    const mailmux = startProgram(scene, { name: 'mailmux', command: MAIN, args: ['run', '-c', config] })
    const hasRoute = (user: string) =>
      until(
        START_DEADLINE_MS,
        async () => (await run(MAIN, ['explain', user, '-c', config])).stdout.includes('store1') || undefined,
        () => `no route of ${user}: ${mailmux.stdout()}`,
      )
    await hasRoute('alice@example.test')
    project('..2026_11_30_2', 'bob@example.test: store1')
    await hasRoute('bob@example.test')
    execFileSync('rm', ['-r', join(volume, '..2026_11_30_1')]) // kubelet removes it right after the swap
    project('..2026_11_30_3', 'carol@example.test: store1')
    await hasRoute('carol@example.test')
  })
})
