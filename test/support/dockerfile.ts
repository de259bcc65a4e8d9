/**
 * Runs the steps of a Dockerfile without a container engine: each stage is a directory, and absolute paths lead into it. The base
 * images are not there: what a step runs is the machine's own. Enough for WORKDIR, COPY, RUN and ENV as docker/Dockerfile uses them.
 */
import { cpSync, mkdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { run } from './run.ts'

export type Step = { instruction: string; words: string }

/** Instructions with their words; lines that end with a backslash go on. */
export function readSteps(file: string): Step[] {
  const text = readFileSync(file, 'utf8')
    .replace(/^#.*\n/gm, '')
    .replace(/\\\n\s*/g, '')
  return [...text.matchAll(/^([A-Z]+) (.*)$/gm)].map(([, instruction = '', words = '']) => ({ instruction, words }))
}

/**
 * @param context the directory that COPY copies from
 * @param target where the stages are made
 * @returns the directory of the last stage
 */
export async function runSteps(steps: Step[], context: string, target: string): Promise<string> {
  const stages = new Map<string, string>()
  let stage = ''
  let workdir = ''
  for (const { instruction, words } of steps) {
    if (instruction === 'FROM') {
      const [, name = `stage-${stages.size}`] = / AS ([\w-]+)$/.exec(words) ?? []
      const base = words.split(' ', 1)[0]?.replace('${RUNTIME}', 'node') ?? ''
      stage = stages.get(base) ?? join(target, name) // a stage that goes on from another one
      stages.set(name, stage)
      for (const folder of ['usr/local/bin', 'run']) mkdirSync(join(stage, folder), { recursive: true })
    } else if (instruction === 'WORKDIR') {
      workdir = join(stage, words)
      mkdirSync(workdir, { recursive: true })
    } else if (instruction === 'COPY') {
      const [, from, paths = ''] = /^(?:--from=(\w+) )?(.*)$/.exec(words) ?? []
      const all = paths.split(' ')
      const to = all.pop() ?? ''
      for (const path of all) {
        const source = from === undefined ? join(context, path) : join(stages.get(from) ?? '', path)
        const isDirectory = to.endsWith('/')
        cpSync(source, join(workdir, to, isDirectory ? basename(path) : ''), { recursive: true })
      }
    } else if (instruction === 'RUN') {
      // The user 1000 of the image is the one that runs the test.
      const command = words.replace(/(?<=[ >])(?=\/(opt|usr|run)\/)/g, stage).replace('-o 1000 -g 1000 ', '')
      const { code, stdout, stderr } = await run('sh', ['-c', `cd '${workdir}' && ${command}`], { ms: 300_000 })
      if (code !== 0) throw new Error(`RUN ${words}: exit code ${code}\n${stdout}${stderr}`)
    }
  }
  return stage
}
