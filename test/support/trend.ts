/** Whether something rises: the straight line through what was sampled, and how far chance alone may have tilted it. Pure. */

export type Trend = {
  /** by how much y rises for each x */
  slope: number
  /** standard error of the slope; twice of it either way holds the true one nineteen times out of twenty */
  error: number
}

/** Least squares through [x, y]. Fewer than three points say nothing: the error is infinite. */
export function fitTrend(points: readonly (readonly [number, number])[]): Trend {
  const count = points.length
  const mean = (of: (point: readonly [number, number]) => number) =>
    points.reduce((sum, one) => sum + of(one), 0) / count
  const [x, y] = [mean(([at]) => at), mean(([, value]) => value)]
  const spread = points.reduce((sum, [at]) => sum + (at - x) ** 2, 0)
  if (count < 3 || spread === 0) return { slope: 0, error: Infinity }
  const slope = points.reduce((sum, [at, value]) => sum + (at - x) * (value - y), 0) / spread
  const left = points.reduce((sum, [at, value]) => sum + (value - y - slope * (at - x)) ** 2, 0)
  return { slope, error: Math.sqrt(left / (count - 2) / spread) }
}

/** Whether it rises by more than `most` for each x, and by more than chance would have it. */
export function risesOver({ slope, error }: Trend, most: number): boolean {
  return slope - 2 * error > most
}
