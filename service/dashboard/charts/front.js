/** The Pareto front: any two metrics, a third as colour; teacher, budget, baseline, and what is dominated. */
import { figure, label, lessIsBetter, tick } from '../core/format.js';
import { extent } from '../core/columns.js';
import { axis, faded, legend, lines, ticksAt, ticksOf, tooltip } from './base.js';

/**
 * @typedef {import('../core/columns.js').Columns} Columns
 * @typedef {{x: string, y: string, color: string, logX: boolean, logY: boolean, infeasible: boolean}} FrontView
 */

/** The rows that no other dominates on two metrics. @param {Columns} columns @param {number[]} rows @param {string} x @param {string} y */
export function frontOf(columns, rows, x, y) {
  const sign = (/** @type {string} */ name) => (lessIsBetter(name) ? 1 : -1);
  const [xs, ys] = [columns.figures[x] ?? [], columns.figures[y] ?? []];
  const known = rows.filter((i) => xs[i] != null && ys[i] != null);
  known.sort((a, b) => sign(x) * (xs[a] - xs[b]) || sign(y) * (ys[a] - ys[b]));
  let best = Infinity;
  return known.filter((i) => {
    const cost = sign(y) * ys[i];
    if (cost >= best) return false;
    best = cost;
    return true;
  });
}

/**
 * @param {{columns: Columns, view: FrontView, front: number[], rest: number[], infeasible: number[],
 *   teacher: Record<string, number | null>, limits: Record<string, number | null>,
 *   baseline: {candidate: number, x: number, y: number}[]}} what rows by index into the columns; limits: the study's budget
 * @returns {(palette: any) => any} ECharts' option
 */
export function frontOption({ columns, view, front, rest, infeasible, teacher, limits, baseline }) {
  const [xs, ys] = [columns.figures[view.x], columns.figures[view.y]];
  const third = view.color ? columns.figures[view.color] : null;
  const spot = (/** @type {number} */ i) => [xs[i], ys[i], third ? third[i] : null, i];
  const known = (/** @type {number} */ i) => xs[i] != null && ys[i] != null;
  const hover = ({ data, seriesName }) => {
    const i = data.value ? data.value[3] : data[3];
    if (i == null) return lines(seriesName, [[label(view.x), figure(view.x, (data.value ?? data)[0])], [label(view.y), figure(view.y, (data.value ?? data)[1])]]);
    const names = [...new Set([view.y, view.x, view.color, 'accuracy', 'parameters', 'peak_activation_bytes', 'macs'])].filter((name) => name && columns.figures[name]);
    return lines(`Candidate ${columns.candidate[i]}`, [
      ...names.map((name) => /** @type {[string, string]} */ ([label(name), figure(name, columns.figures[name][i])])),
      ['Epochs', String(columns.epochs[i])], ['State', columns.state[i]],
    ]);
  };
  // Over-budget students are never trained: where their score would stand, they are ticks on the axis.
  const untrained = infeasible.length > 0 && !infeasible.some(known);
  const series = (palette, /** @type {any[]} */ steps, limitMarks) => [
      { name: 'Front line', type: 'line', data: steps, symbol: 'none', silent: true, lineStyle: { color: palette.accent, width: 1.4, opacity: 0.65 }, z: 3, tooltip: { show: false }, markLine: limitMarks },
      { name: 'Over budget', type: 'scatter', data: untrained ? infeasible.map((i) => [xs[i], 0.015, null, i]) : infeasible.filter(known).map(spot), yAxisIndex: untrained ? 1 : 0, symbol: untrained ? 'rect' : 'triangle', symbolSize: untrained ? [1, 9] : 6, itemStyle: { color: faded(palette.limit, 0.5) }, z: 1 },
      { name: 'Dominated', type: 'scatter', large: !third, largeThreshold: 2000, data: rest.filter(known).map(spot), symbolSize: rest.length > 2000 ? 3.5 : 5, itemStyle: { color: palette.dim, opacity: rest.length > 2000 ? 0.28 : third ? 0.8 : 0.42 }, z: 2, emphasis: { scale: 1.6, itemStyle: { opacity: 1 } } },
      { name: 'Front', type: 'scatter', data: front.map(spot), symbolSize: 9, cursor: 'pointer', itemStyle: { color: palette.accent, borderColor: palette.panel, borderWidth: 1.5 }, z: 5, emphasis: { scale: 1.7 } },
      { name: 'Without teacher', type: 'scatter', data: baseline.map((b) => [b.x, b.y]), symbol: 'rect', symbolSize: 8, itemStyle: { color: 'none', borderColor: palette.baseline, borderWidth: 1.6 }, z: 4 },
      { name: 'Teacher', type: 'scatter', data: teacher[view.x] != null && teacher[view.y] != null ? [[teacher[view.x], teacher[view.y]]] : [], symbol: 'diamond', symbolSize: 15, itemStyle: { color: palette.teacher, borderColor: palette.panel, borderWidth: 1.5 }, z: 6, label: { show: true, formatter: 'Teacher', position: 'left', color: palette.teacher, fontSize: 11, fontWeight: 600 } },
      { id: 'chosen', name: CHOSEN, type: 'scatter', data: [], symbol: 'circle', symbolSize: 19, silent: true, itemStyle: { color: 'none', borderColor: palette.text, borderWidth: 1.8 }, z: 7 },
  ];
  return (palette) => {
    const steps = front.flatMap((i, k) => (k ? [[xs[i], ys[front[k - 1]]], [xs[i], ys[i]]] : [[xs[i], ys[i]]]));
    const marks = limitLines(view, limits, palette);
    const scored = [...front, ...rest, ...infeasible];
    const scale = (/** @type {string} */ name, /** @type {boolean} */ log, more) => {
      // The teacher and the limits are part of the picture, even beyond the students.
      const shown = [...extent(columns.figures[name], scored), teacher[name], limits[name]].flatMap((value) => (value != null && Number.isFinite(value) ? [value] : []));
      const [least, most] = [Math.min(...shown), Math.max(...shown)];
      const [min, max] = [pad(least, most, log, -1, name), pad(most, least, log, 1, name)];
      const ticks = ticksOf(name, min, max, log);
      return axis(palette, {
        type: log ? 'log' : 'value', name: label(name), min, max, ...more, ...ticksAt(ticks, palette),
        axisLabel: { formatter: (/** @type {number} */ value) => tick(name, value), ...(ticks ? { customValues: ticks } : { showMinLabel: false, showMaxLabel: false }) },
      });
    };
    const limitMarks = marks.length ? { silent: true, symbol: 'none', animation: false, precision: 8, data: marks, lineStyle: { color: palette.limit, type: [5, 4], width: 1.2 } } : undefined;
    const [low, high] = third ? extent(third, [...front, ...rest]) : [0, 1];
    const all = series(palette, steps, limitMarks);
    const shown = all.filter((one) => one.data.length || one.name === CHOSEN);
    return {
      grid: { ...GRID, top: gridTop(view) },
      legend: legend(palette, { icon: undefined, data: shown.map((one) => one.name).filter((name) => name !== 'Front line') }),
      tooltip: tooltip(palette, { formatter: hover }),
      xAxis: scale(view.x, view.logX, { nameGap: 28 }),
      yAxis: [scale(view.y, view.logY, { nameGap: 46 }), { type: 'value', min: 0, max: 1, show: false }],
      visualMap: third ? {
        type: 'continuous', dimension: 2, seriesIndex: [2, 3], show: true, top: 26, left: 0, orient: 'horizontal', itemWidth: 8, itemHeight: 120,
        min: low, max: high, text: [tick(view.color, high), `${label(view.color)}  ${tick(view.color, low)}`],
        textStyle: { color: palette.muted, fontSize: 11 }, inRange: { color: palette.scale }, calculable: false,
      } : [],
      series: all,
    };
  };
}

const CHOSEN = 'Best within the sliders';

/** Lines where limits stand. @param {FrontView} view @param {Record<string, number | null>} limits @param {any} palette */
const limitLines = (view, limits, palette) => [view.x, view.y].flatMap((name, k) => (limits[name] == null ? [] : [{
  [k ? 'yAxis' : 'xAxis']: limits[name], name: `≤ ${tick(name, /** @type {number} */ (limits[name]))}`,
  label: { formatter: '{b}', color: palette.limit, fontSize: 11, position: k ? 'insideEndTop' : 'end', distance: 3 },
}]));

/**
 * What the sliders change, on a layer over a front that stays as it is: the best within them, and where they stand.
 * @param {Columns} columns
 * @param {FrontView} view
 * @param {number | null} chosen
 * @param {Record<string, number | null>} limits
 */
export const chosenOverlay = (columns, view, chosen, limits) => (chart, palette) => {
  const [left, right] = [GRID.left, chart.getWidth() - GRID.right];
  const [top, bottom] = [gridTop(view), chart.getHeight() - GRID.bottom];
  const x = (/** @type {number | null} */ value) => chart.convertToPixel({ xAxisIndex: 0 }, value);
  const y = (/** @type {number | null} */ value) => chart.convertToPixel({ yAxisIndex: 0 }, value);
  const line = ([x1, y1, x2, y2]) => ({
    type: 'Line', shape: { x1, y1, x2, y2 }, style: { stroke: palette.text, lineWidth: 1.2, lineDash: [2, 3] },
  });
  const lines = [];
  if (limits[view.x] != null) lines.push(line([x(limits[view.x]), top, x(limits[view.x]), bottom]));
  if (limits[view.y] != null) lines.push(line([left, y(limits[view.y]), right, y(limits[view.y])]));
  const [cx, cy] = chosen === null ? [null, null] : [columns.figures[view.x][chosen], columns.figures[view.y][chosen]];
  if (cx == null || cy == null) return lines;
  const ring = { fill: 'none', stroke: palette.text, lineWidth: 1.8 };
  return [...lines, { type: 'Circle', shape: { cx: x(cx), cy: y(cy), r: 9.5 }, style: ring }];
};

const GRID = { left: 60, right: 20, bottom: 46 };
/** @param {FrontView} view */
const gridTop = (view) => (view.color ? 62 : 34);

/** An end of an axis, with room. @param {number} end @param {number} other @param {boolean} log @param {number} sign @param {string} name */
function pad(end, other, log, sign, name) {
  if (!Number.isFinite(end)) return sign > 0 ? 1 : 0;
  if (log) return Math.max(1e-9, end * (sign > 0 ? 1.25 : 0.8));
  const value = end + sign * Math.abs(end - other || end || 1) * 0.05;
  return name.endsWith('accuracy') ? Math.min(1, Math.max(0, value)) : lessIsBetter(name) ? Math.max(0, value) : value;
}
