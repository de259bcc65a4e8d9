/** A real nginx of the test's own configuration: an auth server as its users write one, or its mail proxy. */
import { execFile } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { START_DEADLINE_MS, until } from './deadline.ts'
import { isFree } from './ports.ts'
import { type Program, startProgram } from './processes.ts'
import type { Scene } from './scene.ts'

const run = promisify(execFile)

/** Debian keeps nginx where only root's PATH looks. */
const PROGRAM = '/usr/sbin/nginx'

export type NginxOptions = {
  /** names its directory in the scene's */
  name: string
  /** the `http` block */
  http?: string
  /** the `mail` block */
  mail?: string
  /** one of its ports: it is ready once that is taken */
  port: number
}

export type Nginx = {
  /** where relative paths of the configuration lead, such as that of an access log */
  directory: string
  program: Program
}

/** Every path that it would write to lies in its own directory. */
export async function startNginx(scene: Scene, { name, http, mail, port }: NginxOptions): Promise<Nginx> {
  const directory = join(scene.directory, name)
  await mkdir(join(directory, 'tmp'), { recursive: true })
  const { stderr } = await run(PROGRAM, ['-V'])
  const modules = /--modules-path=(\S+)/.exec(stderr)?.[1] ?? ''
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((kind) => `${kind}_temp_path tmp;`)
    .join(' ')
  const file = join(directory, 'nginx.conf')
  await writeFile(
    file,
    `
${mail === undefined ? '' : `load_module ${modules}/ngx_mail_module.so;`}
daemon off;
pid nginx.pid;
worker_processes 1;
error_log stderr notice;
events {}
${http === undefined ? '' : `http { ${temporary} access_log off; ${http} }`}
${mail === undefined ? '' : `mail { ${mail} }`}
`,
  )
  const program = startProgram(scene, { name, command: PROGRAM, args: ['-p', directory, '-e', 'stderr', '-c', file] })
  const look = async () => {
    const exit = program.exit()
    if (exit !== undefined) throw new Error(`${name} ended: ${program.stderr()}`)
    return !(await isFree(port)) || undefined
  }
  await until(START_DEADLINE_MS, look, () => `${name} is not ready: ${program.stderr()}`)
  return { directory, program }
}
