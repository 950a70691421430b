/** What is brushed: ranges of columns, in the address, so that all views and the link agree. */
import { useMemo } from './html.js';
import { changeQuery, useQuery } from './router.js';

/** @typedef {Record<string, [number, number]>} Brush lowest and highest value by column */

/** @param {string | null} text as `accuracy:0.9..0.95;kd.weight:0.1..0.4` @returns {Brush} */
export function readBrush(text) {
  const parts = (text ?? '').split(';').map((part) => /^(.+):(-?[\d.e+-]+)\.\.(-?[\d.e+-]+)$/.exec(part));
  return Object.fromEntries(parts.flatMap((part) => (part ? [[part[1], /** @type {[number, number]} */ ([Number(part[2]), Number(part[3])])]] : [])));
}

const rounded = (/** @type {number} */ value) => Number(value.toPrecision(5));

/** @param {Brush} brush */
export const writeBrush = (brush) => Object.entries(brush).map(([name, [low, high]]) => `${name}:${rounded(low)}..${rounded(high)}`).join(';');

/** @returns {[Brush, (next: Brush) => void]} */
export function useBrush() {
  const [query] = useQuery();
  const text = query.get('brush');
  return [useMemo(() => readBrush(text), [text]), (next) => changeQuery({ brush: writeBrush(next) })];
}

/** Rows within all ranges. @param {Brush} brush @param {number[]} rows @param {(name: string) => any[] | undefined} column */
export function brushed(brush, rows, column) {
  const ranges = Object.entries(brush).flatMap(([name, range]) => (column(name) ? [{ values: /** @type {any[]} */ (column(name)), range }] : []));
  return ranges.length ? rows.filter((i) => ranges.every(({ values, range: [low, high] }) => values[i] != null && values[i] >= low && values[i] <= high)) : rows;
}
