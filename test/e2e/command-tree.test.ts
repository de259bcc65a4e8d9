/** What is made from the tree of commands: completion in real shells, and manual pages that mandoc accepts. */
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { MAIN, NODE_OF_COMMAND } from '../support/command.ts'

const [NODE = '', ...OPTIONS] = NODE_OF_COMMAND
/** For a shell with a terminal of its own, which starts mailmux once. */
const SHELL_MS = 60_000

const mailmux = (...args: string[]): string =>
  execFileSync(NODE, [...OPTIONS, MAIN, ...args], { encoding: 'utf8', timeout: SHELL_MS })

const directory = mkdtempSync(join(tmpdir(), 'mailmux-tree-'))
after(() => rmSync(directory, { recursive: true, force: true }))

/** What is typed, with the key Tab as \t, and the arguments that the shell then passes. */
const TYPED: readonly (readonly [string, string])[] = [
  ['mailmux rel\t', 'reload'],
  ['mailmux backend dr\tstore', 'backend drain store'],
  ['mailmux backend drain --reas\tx', 'backend drain --reassign x'],
  ['mailmux sessions e\t--bac\tx', 'sessions end --backend x'],
  ['mailmux explain --protocol man\tx', 'explain --protocol managesieve x'],
  // The @ ends a word of bash, and must not count as an argument.
  ['mailmux move -c FILE alice@example.test q\tx', 'move -c FILE alice@example.test quiet x'],
  ['mailmux move -c FILE --from q\tx', 'move -c FILE --from quiet x'],
  ['mailmux move -c FILE --from=q\tx', 'move -c FILE --from=quiet x'],
  ['mailmux check -c rou\tx', 'check -c routes.yaml x'],
]

/** How each shell starts with the script and nothing else, in `directory`. */
const SHELLS = {
  bash: { start: 'bash --noprofile --rcfile rc.bash -i', file: 'rc.bash', lines: ["PS1='> '", 'source script.bash'] },
  zsh: {
    start: 'zsh -d -i',
    file: '.zshrc',
    lines: ["PS1='> '", 'autoload -U compinit', 'compinit -u -D', 'source ./script.zsh'],
  },
  fish: { start: "fish --no-config -i -C 'source script.fish'", file: 'rc.fish', lines: [] },
} as const

describe('completion', () => {
  before(() => {
    // Prints what it is given, and lets the real program say which back ends there are.
    const program = `#!/bin/sh\n[ "$1" = backend-names ] && exec ${[NODE, ...OPTIONS].join(' ')} ${MAIN} "$@"\necho "RAN[$*]"\n`
    writeFileSync(join(directory, 'mailmux'), program, { mode: 0o755 })
    writeFileSync(join(directory, 'mailmux.yaml'), 'routing: routes.yaml\n')
    writeFileSync(join(directory, 'routes.yaml'), 'backends:\n  quiet: {host: 127.0.0.1}\n  loud: {host: 127.0.0.1}\n')
  })

  for (const [shell, { start, file, lines }] of Object.entries(SHELLS))
    test(`completes commands, options, choices, files and back ends in ${shell}`, () => {
      writeFileSync(join(directory, file), `${lines.join('\n')}\n`)
      writeFileSync(join(directory, `script.${shell}`), mailmux('completion', shell))
      const config = join(directory, 'mailmux.yaml')
      const typed = [...TYPED.map(([line]) => line.replace('FILE', config)), 'exit', ''].join('\n')
      const { stdout, stderr } = spawnSync('script', ['-qec', start, '/dev/null'], {
        cwd: directory,
        input: typed,
        encoding: 'utf8',
        timeout: SHELL_MS,
        env: { HOME: directory, ZDOTDIR: directory, PATH: `${directory}:${process.env.PATH ?? ''}`, TERM: 'xterm' },
      })
      const ran = [...stdout.matchAll(/RAN\[(.*)\]/gu)].map(([, args]) => args)
      const expected = TYPED.map(([, args]) => args.replace('FILE', config))
      assert.deepEqual(ran, expected, `${stdout}\n${stderr}`)
    })

  test('offers no back end where the configuration has none', () => {
    assert.equal(mailmux('backend-names', join(directory, 'missing.yaml')), '')
  })
})

describe('manual pages', () => {
  const pages = join(directory, 'man')
  before(() => mailmux('man', pages))

  test('mandoc finds nothing to warn of', () => {
    const files = ['man1', 'man5'].flatMap((folder) =>
      readdirSync(join(pages, folder)).map((name) => join(pages, folder, name)),
    )
    assert.ok(files.length > 20, `${files.length} pages`)
    const { stdout, status } = spawnSync('mandoc', ['-Tlint', '-W', 'warning', ...files], { encoding: 'utf8' })
    assert.equal(stdout, '')
    assert.equal(status, 0)
  })

  /** As a reader sees it, without bold type. */
  const read = (...page: string[]): string => {
    const text = execFileSync('mandoc', ['-Tutf8', '-O', 'width=100', join(pages, ...page)], { encoding: 'utf8' })
    return text.replace(/.\x08/gu, '').replace(/\s+/gu, ' ')
  }

  test('mailmux-backend(1) has its commands, their options, exit codes and examples', () => {
    const text = read('man1', 'mailmux-backend.1')
    assert.match(text, /SYNOPSIS mailmux backend list \[options\] mailmux backend up \[options\] backend/)
    assert.match(text, /--over duration The time over which its sessions end, such as 10m/)
    assert.match(
      text,
      /Exit status: 0 the back end has the state, 1 the order is refused, 2 wrong usage or no answer, 69 no /,
    )
    assert.match(text, /mailmux backend drain store1 --over 10m/)
  })

  test('mailmux-reload(1) lists its exit codes one by one', () => {
    assert.match(read('man1', 'mailmux-reload.1'), /EXIT STATUS 0 The files are in force\. 1 Nothing has changed, or/)
  })

  test('mailmux.yaml(5) and routing.yaml(5) explain keys at every depth', () => {
    assert.match(read('man5', 'mailmux.yaml.5'), / listeners\[\]\.tls .+ directory\.redis\.prefix /)
    assert.match(read('man5', 'routing.yaml.5'), / backends\.NAME\.host .+ placement /)
  })
})
