/** Lines over trials, seconds or epochs: hypervolume, best so far, survival, learning curves. */
import { count, duration, figure, number, plural, tick } from '../core/format.js';
import { axis, faded, legend, lines, plain, tooltip } from './base.js';

/**
 * @typedef {{name: string, values: [number, number | null][], metric?: string, dashed?: boolean}} Line
 */

/** Whether there is one point, of which no line is drawn. @param {Line} line */
const single = (line) => line.values.filter(([, value]) => value != null).length < 2;

/**
 * Lines on one pair of axes.
 * @param {Line[]} all
 * @param {{x: string, y: string, metric?: string, step?: boolean, area?: boolean, log?: boolean, seconds?: boolean, level?: {value: number, name: string} | null}} how
 */
export const linesOption = (all, { x, y, metric = '', step, area, log, seconds, level }) => (palette) => {
  const several = all.length > 1;
  const places = new Set(all.flatMap((line) => line.values.map(([place]) => place)));
  const [only] = places.size === 1 ? places : [];
  const value = (/** @type {number | null} */ v) => (metric ? figure(metric, v) : number(v));
  const at = (/** @type {number} */ v) => (seconds ? duration(v) : count(v));
  return {
    grid: { left: 54, right: level ? 16 : 14, top: several ? 32 : 14, bottom: 40 },
    legend: several ? legend(palette, { icon: 'roundRect', itemHeight: 3 }) : { show: false },
    tooltip: tooltip(palette, {
      trigger: 'axis',
      formatter: (/** @type {any[]} */ hits) => lines(`${x} ${at(hits[0].value[0])}`, hits.map((hit) => [hit.seriesName, value(hit.value[1])])),
    }),
    xAxis: axis(palette, { type: 'value', name: x, nameGap: 26, ...(only === undefined ? { min: 'dataMin', max: 'dataMax' } : { min: Math.max(0, only - 1), max: only + 1 }), splitLine: { show: false }, minInterval: seconds ? 0 : 1, axisLabel: { formatter: at } }),
    yAxis: axis(palette, { type: log ? 'log' : 'value', name: y, nameGap: 42, scale: true, axisLine: { show: false }, splitNumber: 4, axisLabel: { showMaxLabel: !level, formatter: (/** @type {number} */ v) => (metric ? tick(metric, v) : number(v)) }, max: level ? ({ min, max }) => Math.max(max, level.value) + 0.06 * (Math.max(max, level.value) - min) : undefined }),
    series: all.map((line, k) => ({
      name: plain(line.name), type: 'line', data: line.values, step: step ? 'end' : false, symbol: line.values.length < 40 ? 'circle' : 'none', symbolSize: single(line) ? 7 : 4, showSymbol: single(line),
      sampling: 'lttb', lineStyle: { width: 1.8, type: line.dashed ? [5, 4] : 'solid', color: palette.series[k % palette.series.length] }, itemStyle: { color: palette.series[k % palette.series.length] },
      areaStyle: area && !several ? { color: faded(palette.accent, 0.1), origin: 'start' } : undefined,
      markLine: level && k === 0 ? { silent: true, symbol: 'none', precision: 8, // the default would round 99.3 % to 99 %
        data: [{ yAxis: level.value, name: level.name }], lineStyle: { color: palette.teacher, type: [5, 4], width: 1.2 }, label: { formatter: '{b}', color: palette.teacher, fontSize: 11, position: 'insideEndBottom' } } : undefined,
    })),
  };
};

/** How many trials reached each rung. @param {{epochs: number, reached: number}[]} rungs */
export const survivalOption = (rungs) => (palette) => ({
  grid: { left: 44, right: 60, top: 8, bottom: 12, containLabel: false },
  tooltip: tooltip(palette, { formatter: ({ dataIndex: i }) => lines(plural(rungs[i].epochs, 'epoch'), [['Trials', count(rungs[i].reached)], ['Of the first rung', `${Math.round((100 * rungs[i].reached) / (rungs[0].reached || 1))} %`]]) }),
  xAxis: { type: 'value', show: false, max: rungs[0]?.reached || 1 },
  yAxis: { type: 'category', inverse: true, data: rungs.map((rung) => `${rung.epochs} ep`), axisLine: { show: false }, axisTick: { show: false }, axisLabel: { color: palette.muted, fontSize: 12 } },
  series: [{ type: 'bar', data: rungs.map((rung) => rung.reached), barMaxWidth: 22, showBackground: true, backgroundStyle: { color: palette.grid, borderRadius: 3 }, itemStyle: { color: palette.accent, borderRadius: 3 }, label: { show: true, position: 'right', color: palette.text, formatter: ({ value }) => count(value) } }],
});
