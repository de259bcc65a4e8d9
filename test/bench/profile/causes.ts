/** Sorts the samples of `perf script` by what the processor was doing, and by the folder of src/ that had it done. */

/** The name of a function and the file that it comes from, as perf prints them. */
export type Frame = { symbol: string; file: string }

/** From the innermost frame outwards. */
export type Sample = { thread: string; frames: Frame[] }

/** In the order of the table; `mailmux: FOLDER` stands before `dependencies`. */
export const CAUSES = [
  'kernel',
  'OpenSSL, and C code without a row',
  'malloc, memcpy and the like',
  'V8: builtins',
  'V8: runtime and API',
  'V8: regular expressions',
  'V8: garbage collection',
  'V8: compiling',
  "node's own JavaScript",
  "node's C++",
  'libuv',
] as const
export const DEPENDENCIES = 'JavaScript of dependencies'
export const OTHER = 'not known'
/** Bun's program has no symbols: OpenSSL, the engine and all else are in one. */
export const BUN_PROGRAM = 'Bun: its program, with the engine and BoringSSL'
export const COMPILED = 'compiled JavaScript'

const COLLECTION =
  /v8::internal::(\w*Scaveng|Heap::(Collect|Perform|Scavenge|Mark|Sweep|Minor|Finalize)|\w*Mark|\w*Sweep|GarbageCollection|GCTracer|\w*Evacuat|ArrayBufferSweeper|GlobalHandles|\w*Pretenuring|\w*Root(s)?Visitor|IncrementalMarking|ConcurrentMarking|MinorGC)/
const COMPILING =
  /v8::internal::(compiler::|maglev::|baseline::|interpreter::Bytecode|Compiler::|Parser|Scanner|parsing::|\w*Compil|turboshaft|TieringManager|OptimizingCompile|Deoptimiz)/
/** Of glibc; `__memmove_avx_unaligned_erms` is one of the many names of memcpy. */
const ALLOCATION =
  /malloc|calloc|realloc|free|memmove|memcpy|memset|memcmp|memchr|strlen|_int_|unlink_chunk|sysmalloc|systrim|tcache|operator (new|delete)/

function isKernel({ file, symbol }: Frame): boolean {
  return file.includes('[kernel') || file.includes('[guest.kernel') || /\[vdso\]/.test(file) || /^\[k\]/.test(symbol)
}

/** Where the JavaScript of a frame comes from; undefined of another frame. */
export function scriptOf({ symbol }: Frame): string | undefined {
  return /^(?:JS|Script|Function|LazyCompile|Eval):[*^~+']*(.*)$/.exec(symbol)?.[1]
}

function causeOfScript(script: string): string {
  if (/(^| )node:/.test(script)) return "node's own JavaScript"
  if (script.includes('/node_modules/')) return DEPENDENCIES
  const folder = folderOf(script)
  if (folder !== undefined) return `mailmux: ${folder}`
  return /bare-relay/.test(script) ? 'the relay itself' : "node's own JavaScript"
}

/** `src/relay` of `carry /home/x/mailmux/src/relay/carry.ts:12:3`; `src` of a file in it. */
function folderOf(script: string): string | undefined {
  if (script.includes('/node_modules/')) return undefined
  const path = /\/src\/([^:]+)\.ts:\d+/.exec(script)?.[1]
  if (path === undefined) return undefined
  const [folder, ...rest] = path.split('/')
  return rest.length > 0 ? `src/${folder}` : 'src'
}

/** A handler of bytecode runs for the interpreted function around it. */
function isInterpreting({ symbol }: Frame): boolean {
  return /^(Builtins_|BytecodeHandler:)\w*Handler/.test(symbol) || /^Builtins_Interpreter/.test(symbol)
}

export function causeOf({ thread, frames }: Sample): string {
  const [leaf] = frames
  if (leaf === undefined) return OTHER
  const { symbol, file } = leaf
  if (/\/bun$/.test(file)) return BUN_PROGRAM
  const isOfHelper = thread.startsWith('V8Worker')
  const chain = frames.map((frame) => frame.symbol)
  if (isKernel(leaf)) return 'kernel'
  if (chain.some((name) => COMPILING.test(name))) return 'V8: compiling'
  if (isOfHelper || chain.some((name) => COLLECTION.test(name))) return 'V8: garbage collection'
  if (/libc\.so|libc-|ld-linux/.test(file) || /^operator (new|delete)/.test(symbol))
    return ALLOCATION.test(symbol) ? 'malloc, memcpy and the like' : 'OpenSSL, and C code without a row'
  const script = scriptOf(leaf)
  if (script !== undefined) return causeOfScript(script)
  if (isInterpreting(leaf)) {
    const caller = frames.map(scriptOf).find((found) => found !== undefined)
    return caller === undefined ? 'V8: builtins' : causeOfScript(caller)
  }
  if (/^(Builtins_|Builtin:|BytecodeHandler:|Stub:)/.test(symbol)) return 'V8: builtins'
  if (symbol.startsWith('RegExp')) return 'V8: regular expressions'
  if (/perf-\d+\.map|\/\/anon|\[JIT\]|memfd|jit/i.test(file)) return COMPILED
  if (/v8::|heap::base|cppgc|^_ZN2v88/.test(symbol) && !/^node::/.test(symbol)) return 'V8: runtime and API'
  if (/^(uv_|uv__)/.test(symbol)) return 'libuv'
  if (symbol.includes('::') || symbol.startsWith('_ZN')) return "node's C++"
  return symbol === '[unknown]' && !/\/node$/.test(file) ? OTHER : 'OpenSSL, and C code without a row'
}

export const NO_FOLDER = 'no frame of src/: event loop, callbacks of node, helper threads'

/** The folder of the innermost function of mailmux: it had done what the sample shows. */
export function callerOf({ frames }: Sample): string {
  for (const frame of frames) {
    const script = scriptOf(frame)
    const folder = script === undefined ? undefined : folderOf(script)
    if (folder !== undefined) return folder
  }
  return NO_FOLDER
}

/** Reads `perf script -F comm,ip,sym,dso`: a line with the thread, one for each frame, and an empty one behind. */
export function readSamples(text: string): Sample[] {
  return text.split(/\n\s*\n/).flatMap((block) => {
    const [thread, ...lines] = block.split('\n').filter((line) => line.trim() !== '')
    if (thread === undefined) return []
    const frames = lines.flatMap((line) => {
      const found = /^\s*[\da-f]+ (.*) \(([^()]*(?:\([^()]*\))?[^()]*)\)$/.exec(line)
      return found ? [{ symbol: found[1] ?? '', file: found[2] ?? '' }] : []
    })
    return [{ thread: thread.trim(), frames }]
  })
}
