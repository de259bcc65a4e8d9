/**
 * Real ManageSieve clients, each made to do the same: read the capabilities, upload a script, list, activate, get, deactivate and
 * delete it. Each prints one JSON value, so that a visit through mailmux can be compared with a direct one.
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cyrus } from './cyrus.ts'
import type { Scene } from './scene.ts'

export type SieveLogin = { port: number; user: string; password: string; caFile: string }

/** What a client has seen. `refused` is what it says of a login that failed. */
export type SieveVisit = {
  extensions?: string[]
  /** names of scripts, the active one with a star, after each step */
  uploaded?: string[]
  activated?: string[]
  script?: string
  deleted?: string[]
  refused?: string
}

export const SIEVE_SCRIPT = 'require ["fileinto"];\r\nif header :contains "Subject" "sale" { fileinto "Junk"; }\r\n'

const PYTHON = `
import json, os, ssl, sys
from sievelib.managesieve import Client, Error
port, user, ca = int(sys.argv[1]), sys.argv[2], sys.argv[3]
os.environ['SSL_CERT_FILE'] = ca
ssl._create_default_https_context = ssl.create_default_context
client = Client('localhost', port)
out = {}
def names():
    active, others = client.listscripts()
    return sorted(list(others) + ([active + '*'] if active else []))
try:
    if client.connect(user, os.environ['PASSWORD'], starttls=True, authmech='PLAIN'):
        out['extensions'] = sorted(client.get_sieve_capabilities())
        client.putscript('main', open(sys.argv[4], newline='').read())
        out['uploaded'] = names()
        client.setactive('main')
        out['activated'] = names()
        out['script'] = client.getscript('main')
        client.setactive('')
        client.deletescript('main')
        out['deleted'] = names()
        client.logout()
    else:
        out['refused'] = (client.errmsg or b'').decode()
except Error as error:
    out['refused'] = str(error)
print(json.dumps(out))
`

const PHP = `<?php
require_once 'Net/Sieve.php';
[, $port, $user, $ca, $file] = $argv;
$sieve = new Net_Sieve(null, null, '', '', null, '', false, false, true,
  ['ssl' => ['cafile' => $ca, 'peer_name' => 'localhost', 'verify_peer' => true]]);
$out = [];
function names($sieve) {
  $active = $sieve->getActive();
  $names = array_map(fn($name) => $name === $active ? $name . '*' : $name, $sieve->listScripts());
  sort($names);
  return $names;
}
$pear = new PEAR();
$error = $sieve->connect('localhost', (int) $port, ['ssl' => ['cafile' => $ca, 'peer_name' => 'localhost', 'verify_peer' => true]], true);
if (!is_a($error, 'PEAR_Error')) $error = $sieve->login($user, getenv('PASSWORD'), 'PLAIN', '', false);
if (is_a($error, 'PEAR_Error')) $out['refused'] = $error->getMessage();
else {
  $extensions = $sieve->getExtensions();
  sort($extensions);
  $out['extensions'] = array_map('strtolower', $extensions);
  $sieve->installScript('main', file_get_contents($file));
  $out['uploaded'] = names($sieve);
  $sieve->setActive('main');
  $out['activated'] = names($sieve);
  $out['script'] = $sieve->getScript('main');
  $sieve->setActive('');
  $sieve->removeScript('main');
  $out['deleted'] = names($sieve);
  $sieve->disconnect();
}
echo json_encode($out);
`

const PERL = `
use strict; use Net::ManageSieve; use JSON::PP;
my ($port, $user, $ca, $file) = @ARGV;
my $sieve = Net::ManageSieve->new('localhost', Port => $port, Timeout => 60, on_fail => sub { },
  tls => 'require', SSL_ca_file => $ca, SSL_verify_mode => 1, SSL_verifycn_name => 'localhost') or do {
  print encode_json({ refused => "$@" }); exit;
};
my %out;
sub listed {
  my $list = $sieve->listscripts; my @names = @$list; my $active = pop @names;
  return [sort map { defined $active && $_ eq $active ? "$_*" : $_ } @names];
}
if ($sieve->auth($user, $ENV{PASSWORD})) {
  $out{extensions} = [sort split ' ', lc(($sieve->capabilities || {})->{sieve} || '')];
  open(my $in, '<:raw', $file); local $/; my $script = <$in>;
  $sieve->putscript('main', $script);
  $out{uploaded} = listed();
  $sieve->setactive('main');
  $out{activated} = listed();
  $out{script} = $sieve->getscript('main');
  $sieve->setactive('');
  $sieve->deletescript('main');
  $out{deleted} = listed();
  $sieve->logout;
} else { $out{refused} = $sieve->error }
print encode_json(\\%out);
`

export type SieveClient = (scene: Scene, login: SieveLogin) => Promise<SieveVisit>

export const SIEVE_CLIENTS: Record<string, SieveClient> = {
  sievelib: (scene, login) => runScript(scene, '/usr/bin/python3', 'visit.py', PYTHON, login),
  Net_Sieve: (scene, login) => runScript(scene, 'php', 'visit.php', PHP, login),
  'Net::ManageSieve': (scene, login) => runScript(scene, 'perl', 'visit.pl', PERL, login),
  'sieve-connect': visitBySieveConnect,
}

async function runScript(
  scene: Scene,
  program: string,
  name: string,
  text: string,
  { port, user, password, caFile }: SieveLogin,
): Promise<SieveVisit> {
  const directory = await mkdtemp(join(scene.directory, 'sieve-'))
  await writeFile(join(directory, name), text)
  await writeFile(join(directory, 'main.sieve'), SIEVE_SCRIPT)
  const args = [join(directory, name), String(port), user, caFile, join(directory, 'main.sieve')]
  const { stdout, stderr } = await run(program, args, { PASSWORD: password, SSL_CERT_FILE: caFile })
  try {
    return JSON.parse(stdout) as SieveVisit
  } catch {
    throw new Error(`${program} printed no JSON: ${stdout}\n${stderr}`)
  }
}

/** One connection for each command. */
async function visitBySieveConnect(scene: Scene, { port, user, password, caFile }: SieveLogin): Promise<SieveVisit> {
  const directory = await mkdtemp(join(scene.directory, 'sieve-'))
  await writeFile(join(directory, 'main.sieve'), SIEVE_SCRIPT)
  await writeFile(join(directory, 'password'), `${password}\n`)
  const fixed = ['-s', 'localhost', '--4', '-p', String(port), '-u', user, '-m', 'PLAIN', '--tlscafile', caFile]
  const command = async (...args: string[]): Promise<{ stdout: string; stderr: string }> => {
    const line = ['sieve-connect', ...fixed, '--passwordfd', '3', ...args].map((part) => `'${part}'`).join(' ')
    return run('sh', ['-c', `${line} 3<'${join(directory, 'password')}'`], {}, directory)
  }
  const list = async (): Promise<string[]> =>
    (await command('--list')).stdout
      .split('\n')
      .filter((line) => line.startsWith('"'))
      .map((line) => line.replace(/^"([^"]*)"( ACTIVE)?.*$/, (_, name: string, active) => name + (active ? '*' : '')))
      .sort()
  const upload = await command('--localsieve', 'main.sieve', '--remotesieve', 'main', '--upload')
  if (/AUTHENTICATE|Authentication|failed|TRYLATER|NO /i.test(upload.stderr)) return { refused: upload.stderr.trim() }
  const visit: SieveVisit = { uploaded: await list() }
  await command('--remotesieve', 'main', '--activate')
  visit.activated = await list()
  await command('--remotesieve', 'main', '--localsieve', 'got.sieve', '--download')
  visit.script = await readFile(join(directory, 'got.sieve'), 'utf8')
  await command('--deactivate')
  await command('--remotesieve', 'main', '--delete')
  return { ...visit, deleted: await list() }
}

function run(
  program: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  cwd?: string,
): Promise<{ stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(program, args, { env: { ...process.env, ...env }, cwd, timeout: 60_000 }, (_, stdout, stderr) =>
      resolve({ stdout, stderr }),
    )
  })
}

/** Cyrus's own test client, on a connection in clear. @returns all that it has shown */
export function visitBySivtest(cyrus: Cyrus, { port, user, password }: SieveLogin): Promise<string> {
  return new Promise((resolve) => {
    const args = ['-u', user, '-a', user, '-w', password, '-p', String(port), '-m', 'PLAIN', '127.0.0.1']
    const child = execFile(
      join(cyrus.programs.directory, 'sivtest'),
      args,
      { env: cyrus.programs.env, timeout: 60_000 },
      (_, stdout) => resolve(stdout),
    )
    let seen = ''
    let isAsked = false
    child.stdout?.on('data', (text: string) => {
      seen += text
      if (isAsked || !seen.includes('Security strength factor')) return
      isAsked = true
      child.stdin?.write('LISTSCRIPTS\r\nLOGOUT\r\n')
    })
  })
}
