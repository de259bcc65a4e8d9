/** Certificates for tests and the demo: a CA made on the spot by the openssl command, and leaves signed by it. */
import { execFile } from 'node:child_process'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export type Leaf = {
  certFile: string
  keyFile: string
  cert: string
  key: string
}

export type Authority = {
  /** the CA's certificate: what a client must trust */
  caFile: string
  ca: string
  /** Makes a key and a certificate with NAME as its common name. The files are `NAME.pem` and `NAME-key.pem`. */
  issue: (name: string, options?: LeafOptions) => Promise<Leaf>
}

export type LeafOptions = {
  /** subject alternative names as openssl writes them; give others for a certificate with the wrong name */
  names?: string[]
  /** from now; negative makes a certificate that has already expired */
  days?: number
  /** the exact end of validity, in place of `days` */
  endsAt?: Date
  /** default: EC P-256 */
  key?: 'rsa' | 'ec'
  /** whose side it may stand for; default: a server's. The nodes of a Redis Cluster are both to each other. */
  usage?: 'serverAuth' | 'clientAuth' | 'serverAuth,clientAuth'
}

/** The names that every client of the tests and the demo uses. */
export const USUAL_NAMES = ['DNS:localhost', 'DNS:mail.example.test', 'IP:127.0.0.1']

/** Makes a CA in `directory`: `ca.pem` and `ca-key.pem`, EC P-256, good for 30 days. */
export async function makeAuthority(directory: string): Promise<Authority> {
  const caFile = join(directory, 'ca.pem')
  const caKeyFile = join(directory, 'ca-key.pem')
  const subject = ['-subj', '/CN=mailmux test CA']
  const extensions = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign']
  await run('openssl', [
    ...['req', '-x509', ...NEW_KEY, '-keyout', caKeyFile, '-out', caFile, '-days', '30', ...subject],
    ...extensions.flatMap((extension) => ['-addext', extension]),
  ])

  return {
    caFile,
    ca: await readFile(caFile, 'utf8'),
    issue: async (name, { names = USUAL_NAMES, days = 30, endsAt, key = 'ec', usage = 'serverAuth' } = {}) => {
      const certFile = join(directory, `${name}.pem`)
      const keyFile = join(directory, `${name}-key.pem`)
      const requestFile = join(directory, `${name}.csr`)
      const extensionFile = join(directory, `${name}.ext`)
      await writeFile(
        extensionFile,
        `subjectAltName=${names.join(',')}\nbasicConstraints=critical,CA:FALSE\nextendedKeyUsage=${usage}\n`,
      )
      await run('openssl', [
        'req',
        '-new',
        '-utf8',
        ...(key === 'rsa' ? NEW_RSA_KEY : NEW_KEY),
        '-keyout',
        keyFile,
        '-out',
        requestFile,
        '-subj',
        `/CN=${name}`,
      ])
      if (endsAt) {
        await signUntil(endsAt, directory, [
          ...['-in', requestFile, '-cert', caFile, '-keyfile', caKeyFile, '-extfile', extensionFile, '-out', certFile],
        ])
      } else {
        await run('openssl', [
          ...['x509', '-req', '-in', requestFile, '-CA', caFile, '-CAkey', caKeyFile, '-CAcreateserial'],
          ...['-days', String(days), '-extfile', extensionFile, '-out', certFile],
        ])
      }
      await Promise.all([rm(requestFile), rm(extensionFile)])
      return { certFile, keyFile, cert: await readFile(certFile, 'utf8'), key: await readFile(keyFile, 'utf8') }
    },
  }
}

const NEW_RSA_KEY = ['-newkey', 'rsa:2048', '-nodes']
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']

/** `openssl x509` of OpenSSL 3.0 counts validity in days. `openssl ca` takes the end itself, and wants a database. */
async function signUntil(endsAt: Date, directory: string, args: readonly string[]): Promise<void> {
  const configFile = join(directory, 'ca.cnf')
  const database = join(directory, 'index.txt')
  await writeFile(database, '')
  await writeFile(
    configFile,
    `[ca]
default_ca = own
[own]
database = ${database}
new_certs_dir = ${directory}
rand_serial = yes
default_md = sha256
policy = any
[any]
commonName = optional
`,
  )
  const end = endsAt.toISOString().replace(/[-:T]|\.\d+/g, '')
  await run('openssl', ['ca', '-batch', '-notext', '-config', configFile, '-enddate', end, ...args])
}
