/** The page's side of the API: the token, which stays in memory, and the polls. */

/** An answer that is no success. */
export class ApiError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message)
    this.name = 'ApiError'
    this.status = status
  }
}

/** Longer than any answer takes whose parts have their own deadlines. */
const TIMEOUT_MS = 8000

/**
 * @typedef {{ method?: 'GET' | 'PUT' | 'POST' | 'DELETE', body?: unknown }} Call
 * @typedef {ReturnType<typeof createClient>} Client
 */

export function createClient() {
  /** @type {string | undefined} */
  let token
  return {
    hasToken: () => token !== undefined,
    /** @param {string | undefined} next */
    setToken(next) {
      token = next
    },
    /**
     * @template Answer
     * @param {string} path under /api/v1
     * @param {Call} [call]
     * @returns {Promise<Answer>}
     * @throws ApiError, or Error without an answer
     */
    async call(path, { method = 'GET', body } = {}) {
      const response = await fetch(`/api/v1${path}`, {
        method,
        headers: {
          ...(token !== undefined && { authorization: `Bearer ${token}` }),
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        cache: 'no-store',
        credentials: 'omit',
        signal: AbortSignal.timeout(TIMEOUT_MS),
      })
      /** @type {unknown} */
      const answer = await response.json().catch(() => undefined)
      if (response.ok) return /** @type {Answer} */ (answer)
      throw new ApiError(response.status, describeError(answer) ?? `status ${response.status}`)
    },
  }
}

/** @param {unknown} answer @returns {string | undefined} */
function describeError(answer) {
  const known = /** @type {{ error?: unknown, errors?: unknown } | undefined} */ (answer)
  return typeof known?.error === 'string' ? known.error : undefined
}

/**
 * A moment by both clocks: the wall clock may be set back, and the other one may stand still while the machine sleeps.
 * @typedef {{ wallMs: number, runMs: number }} Stamp
 * @returns {Stamp}
 */
export function stamp() {
  return { wallMs: Date.now(), runMs: performance.now() }
}

/** At least the real age, in milliseconds. @param {Stamp} then @param {Stamp} [now] */
export function ageOf(then, now = stamp()) {
  return Math.max(0, now.wallMs - then.wallMs, now.runMs - then.runMs)
}

/**
 * Repeats a question while the page is visible, the next one a while after each answer.
 * @template Answer
 * @param {() => Promise<Answer>} ask
 * @param {number} everyMs
 * @param {{ onAnswer: (answer: Answer, askedAt: Stamp) => void, onFailure: (error: unknown) => void }} hear
 * `askedAt`: the moment before the question, so that no part of the answer is older
 * @returns {{ again: () => void, stop: () => void }} `again`: at once
 */
export function poll(ask, everyMs, { onAnswer, onFailure }) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer
  /** @type {'resting' | 'asking' | 'due' | 'stopped'} `due`: asked, and to be asked again at once */
  let state = 'resting'
  const stateNow = () => state

  async function run() {
    clearTimeout(timer)
    if (state === 'asking') state = 'due'
    if (state !== 'resting' || document.hidden) return
    state = 'asking'
    const askedAt = stamp()
    try {
      const answer = await ask()
      if (stateNow() !== 'stopped') onAnswer(answer, askedAt)
    } catch (error) {
      if (stateNow() !== 'stopped') onFailure(error)
    }
    const after = stateNow()
    if (after === 'stopped') return
    state = 'resting'
    if (after === 'due') void run()
    else timer = setTimeout(() => void run(), everyMs)
  }

  const onVisible = () => {
    if (!document.hidden) void run()
  }
  document.addEventListener('visibilitychange', onVisible)
  void run()
  return {
    again: () => void run(),
    stop() {
      state = 'stopped'
      clearTimeout(timer)
      document.removeEventListener('visibilitychange', onVisible)
    },
  }
}
