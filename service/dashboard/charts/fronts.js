/** Fronts of several studies over each other, each with its own mark. */
import { figure, label, tick } from '../core/format.js';
import { axis, legend, lines, plain, ticksAt, ticksOf, tooltip } from './base.js';

const SYMBOLS = ['circle', 'rect', 'triangle', 'diamond', 'roundRect', 'pin'];

/** @param {{name: string, rows: any[], teacher: any}[]} fronts @param {string} x @param {string} y */
export const frontsOption = (fronts, x, y) => (palette) => {
  const teachers = [...new Map(fronts.filter(({ teacher }) => teacher[x] != null && teacher[y] != null).map(({ teacher }) => [`${teacher[x]} ${teacher[y]}`, [teacher[x], teacher[y]]])).values()];
  const xs = [...fronts.flatMap((front) => front.rows.map((row) => row[x])), ...teachers.map(([value]) => value)];
  const [min, max] = [0.8 * Math.min(...xs), 1.25 * Math.max(...xs)];
  const ticks = ticksOf(x, min, max, true);
  return {
    grid: { left: 58, right: 18, top: 34, bottom: 46 },
    legend: legend(palette, { icon: undefined }),
    tooltip: tooltip(palette, { formatter: ({ data, seriesName }) => lines(data[2] == null ? seriesName : `${seriesName}, candidate ${data[2]}`, [[label(y), figure(y, data[1])], [label(x), figure(x, data[0])]]) }),
    xAxis: axis(palette, { type: 'log', name: label(x), nameGap: 28, ...(xs.length ? { min, max } : {}), ...ticksAt(ticks, palette), axisLabel: { customValues: ticks, formatter: (/** @type {number} */ value) => tick(x, value) } }),
    yAxis: axis(palette, { type: 'value', name: label(y), nameGap: 44, scale: true, axisLabel: { formatter: (/** @type {number} */ value) => tick(y, value) } }),
    series: [
      ...fronts.map((front, k) => ({
        name: plain(front.name), type: 'line', step: 'end', symbol: SYMBOLS[k % SYMBOLS.length], symbolSize: 8, data: [...front.rows].sort((a, b) => a[x] - b[x]).map((row) => [row[x], row[y], row.candidate]),
        lineStyle: { width: 1.4, opacity: 0.7, color: palette.series[k] }, itemStyle: { color: palette.series[k] },
      })),
      { name: 'Teacher', type: 'scatter', symbol: 'diamond', symbolSize: 15, data: teachers, itemStyle: { color: palette.text } },
    ],
  };
};
