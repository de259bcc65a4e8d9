/** What the help of every command has: an example and its exit codes, in the form that the man pages read. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Command } from 'commander'
import { readHelpParts } from '../../../src/cli/man/help-parts.ts'
import { buildCommands } from '../../support/commands.ts'

/** A command whose work is done by those that belong to it. */
const isGroup = (command: Command): boolean => command.commands.length > 0 && command.name() !== 'sessions'

function allOf(command: Command): Command[] {
  const visible = command.createHelp().visibleCommands(command)
  return visible.filter((one) => one.name() !== 'help').flatMap((one) => [one, ...allOf(one)])
}

function pathOf(command: Command): string {
  return command.parent ? `${pathOf(command.parent)} ${command.name()}` : command.name()
}

/** Their output is what other programs read. */
const WITHOUT_JSON = new Set(['schema', 'completion', 'man', 'export'])

describe('the help of each command', () => {
  for (const command of allOf(buildCommands()).filter((one) => !isGroup(one))) {
    const path = pathOf(command)
    test(`${path} has an example and the exit codes`, () => {
      const { exitCodes, examples } = readHelpParts(command)
      assert.match(exitCodes ?? '', /^0 .+[,;] 2 /su, 'the line "Exit codes: 0 ..., 2 ..."')
      assert.ok(examples.length > 0, 'the line "Example: ..."')
      for (const example of examples) assert.ok(example.includes(path), `${example} shows ${path}`)
    })
    if (!WITHOUT_JSON.has(command.name()))
      test(`${path} prints JSON on request`, () => {
        assert.ok(command.options.some(({ long }) => long === '--json'))
      })
  }
})
