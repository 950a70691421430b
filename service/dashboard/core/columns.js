/** A study's candidates as columns: what all its charts and sliders compute from, without asking again. */

/**
 * @typedef {{candidate: number[], trial: number[], state: string[], epochs: number[], feasible: boolean[],
 *   on_front: boolean[], figures: Record<string, any[]>, choices: Record<string, any[]>,
 *   distillation: Record<string, any[]>}} Columns
 */

/** Row numbers 0 to n - 1. @param {Columns} columns */
export const rowsOf = (columns) => columns.candidate.map((_, i) => i);

/** Rows that were trained and fit the budget. @param {Columns} columns */
export const scoredRows = (columns) =>
  rowsOf(columns).filter((i) => columns.feasible[i] && columns.figures.accuracy?.[i] != null);

/**
 * The best row within limits, by the first objective; of equals the one of fewest parameters; null if there is none.
 * @param {Columns} columns
 * @param {number[]} rows
 * @param {Record<string, number | null>} limits largest allowed figures
 * @param {{metric: string, direction: string}} objective
 */
export function bestWithin(columns, rows, limits, objective) {
  const values = columns.figures[objective.metric] ?? [];
  const sign = objective.direction === 'maximize' ? 1 : -1;
  const sizes = columns.figures.parameters ?? [];
  const bounds = Object.entries(limits).filter(([name, limit]) => limit != null && columns.figures[name]);
  let best = /** @type {number | null} */ (null);
  for (const i of rows) {
    if (values[i] == null || bounds.some(([name, limit]) => columns.figures[name][i] > /** @type {number} */ (limit))) continue;
    const ahead = best === null ? 1 : sign * (values[i] - values[best]) || sizes[best] - sizes[i];
    if (ahead > 0) best = i;
  }
  return best;
}

/** Every searched name with its column: choices, then distillation. @param {Columns} columns @returns {[string, any[]][]} */
export const searched = (columns) =>
  [...Object.entries(columns.choices), ...Object.entries(columns.distillation)].filter(([, values]) => new Set(values).size > 1);

/** At most n of some rows, evenly taken. @param {number[]} rows @param {number} n */
export const thinned = (rows, n) =>
  rows.length <= n ? rows : Array.from({ length: n }, (_, k) => rows[Math.floor((k * rows.length) / n)]);

/** Smallest and largest of a column's numbers. @param {(number | null)[]} values @param {number[]} [rows] @returns {[number, number]} */
export function extent(values, rows) {
  let [low, high] = [Infinity, -Infinity];
  const see = (/** @type {number | null} */ value) => {
    if (value == null) return;
    if (value < low) low = value;
    if (value > high) high = value;
  };
  if (rows) rows.forEach((i) => see(values[i]));
  else values.forEach(see);
  return [low, high];
}
