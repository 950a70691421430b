/** Parallel coordinates: one line a candidate, one axis a choice or a figure. */
import { figure, label, tick } from '../core/format.js';
import { faded, tooltip } from './base.js';

/** @typedef {{name: string, values: any[], log?: boolean, names?: string[]}} Axis names: of a column that holds no numbers */

/** A column's value as a number on its axis. @param {Axis} axis @param {number} i */
const placed = (axis, i) => (axis.names ? axis.names.indexOf(String(axis.values[i])) : axis.values[i]);

/**
 * @param {Axis[]} axes
 * @param {number[]} rows drawn, best last
 * @param {import('../core/brush.js').Brush} brush
 * @param {{values: any[], range: [number, number]}} color what the lines are coloured by
 */
export const parallelOption = (axes, rows, brush, color) => (/** @type {any} */ palette) => ({
  parallel: { left: 46, right: 56, top: 34, bottom: 18, axisExpandable: false },
  tooltip: tooltip(palette, { show: false }),
  visualMap: { type: 'continuous', show: false, dimension: axes.length, min: color.range[0], max: color.range[1], inRange: { color: palette.scale } },
  parallelAxis: axes.map((axis, dim) => ({
    dim, id: axis.name, name: label(axis.name), nameGap: 14, type: axis.log ? 'log' : 'value', scale: true,
    ...(axis.names ? { min: 0, max: Math.max(1, axis.names.length - 1), interval: 1 } : {}),
    nameTextStyle: { color: palette.text, fontSize: 11 }, axisLine: { lineStyle: { color: palette.line } }, axisTick: { show: false },
    axisLabel: { color: palette.muted, fontSize: 10, hideOverlap: true, formatter: (/** @type {number} */ value) => (axis.names ? axis.names[value] ?? '' : axis.name in LONG ? tick(axis.name, value) : String(Number(value.toPrecision(3)))) },
    areaSelectStyle: { width: 16, borderWidth: 1, borderColor: palette.accent, color: palette.accent, opacity: 0.22 },
    realtime: false,
  })),
  series: [{
    type: 'parallel', progressive: 400, smooth: false, inactiveOpacity: 0.03, activeOpacity: 0.85, lineStyle: { width: 1, opacity: rows.length > 400 ? 0.28 : 0.55 }, emphasis: { disabled: true },
    data: rows.map((i) => [...axes.map((axis) => placed(axis, i) ?? '-'), color.values[i]]),
  }],
});

/** Columns whose ticks have units. @type {Record<string, true>} */
const LONG = { accuracy: true, parameters: true, weight_bytes: true, peak_activation_bytes: true, macs: true, latency_ms: true };

/** Small scatters of each choice against a metric. @param {Axis[]} axes @param {{name: string, values: any[]}} metric @param {number[]} chosen @param {number[]} others @param {number} across @param {boolean} brushing @param {number[]} numbers candidates */
export const slicesOption = (axes, metric, chosen, others, across, brushing, numbers) => (/** @type {any} */ palette) => {
  const down = Math.ceil(axes.length / across);
  const [width, height] = [100 / across, 100 / down];
  const spot = (/** @type {Axis} */ axis, /** @type {number} */ i) => [placed(axis, i), metric.values[i], i];
  return {
    tooltip: tooltip(palette, { formatter: ({ data, seriesIndex }) => `{b|Candidate ${numbers[data[2]]}}\n${label(axes[Math.floor(seriesIndex / 2)].name)}  ${axes[Math.floor(seriesIndex / 2)].values[data[2]]}\n${label(metric.name)}  ${figure(metric.name, data[1])}` }),
    brush: brushing ? { xAxisIndex: 'all', brushType: 'rect', throttleType: 'debounce', throttleDelay: 200, brushStyle: { color: faded(palette.accent, 0.1), borderColor: palette.accent, borderWidth: 1 }, inBrush: {}, outOfBrush: {}, toolbox: [] } : undefined,
    grid: axes.map((_, k) => ({ left: `${(k % across) * width + 12 / across}%`, width: `${width - 15 / across}%`, top: `${Math.floor(k / across) * height + 3 / down}%`, height: `${height - 27 / down}%` })),
    xAxis: axes.map((axis, k) => ({
      gridIndex: k, type: axis.log ? 'log' : 'value', scale: true, name: label(axis.name), nameLocation: 'middle', nameGap: 20, nameTextStyle: { color: palette.muted, fontSize: 11 },
      axisLine: { lineStyle: { color: palette.line } }, axisTick: { show: false }, splitLine: { show: false }, splitNumber: 3,
      axisLabel: { color: palette.muted, fontSize: 10, hideOverlap: true, formatter: (/** @type {number} */ value) => (axis.names ? axis.names[value] ?? '' : axis.name in LONG ? tick(axis.name, value) : String(Number(value.toPrecision(3)))) },
    })),
    yAxis: axes.map((_, k) => ({ gridIndex: k, scale: true, splitNumber: 3, axisLine: { show: false }, axisTick: { show: false }, splitLine: { lineStyle: { color: palette.grid } }, axisLabel: { show: k % across === 0, color: palette.muted, fontSize: 10, formatter: (/** @type {number} */ value) => tick(metric.name, value) } })),
    series: axes.flatMap((axis, k) => [
      { name: 'others', data: others.map((i) => spot(axis, i)), itemStyle: { color: palette.dim, opacity: 0.16 }, z: 1 },
      { name: 'selected', data: chosen.map((i) => spot(axis, i)), itemStyle: { color: palette.accent, opacity: 0.5 }, z: 2 },
    ].map((series) => ({ ...series, type: 'scatter', xAxisIndex: k, yAxisIndex: k, symbolSize: 4, animation: false }))),
  };
};

/** Bars with a name and a share each. @param {{name: string, value: number, text: string}[]} bars @param {number} [most] */
export const barsOption = (bars, most) => (/** @type {any} */ palette) => ({
  grid: { left: 8, right: 56, top: 4, bottom: 4, containLabel: true },
  tooltip: tooltip(palette, { show: false }),
  xAxis: { type: 'value', show: false, min: 0, max: most ?? 'dataMax' },
  yAxis: { type: 'category', inverse: true, data: bars.map((bar) => bar.name), axisLine: { show: false }, axisTick: { show: false }, axisLabel: { color: palette.text, fontSize: 12 } },
  series: [{ type: 'bar', data: bars.map((bar) => Math.max(0, bar.value)), barMaxWidth: 14, showBackground: true, backgroundStyle: { color: palette.grid, borderRadius: 3 }, itemStyle: { color: palette.accent, borderRadius: 3 }, label: { show: true, position: 'right', color: palette.text, formatter: ({ dataIndex }) => bars[dataIndex].text } }],
});
