/** Parallel coordinates: one line a candidate, one axis a choice or a figure. */
import { figure, label, tick } from '../core/format.js';
import { faded, ticksAt, ticksOf, tooltip } from './base.js';
import { extent } from '../core/columns.js';

/** @typedef {{name: string, values: any[], log?: boolean, names?: string[]}} Axis names: of a column that holds no numbers */

/** A column's value as a number on its axis. @param {Axis} axis @param {number} i */
const placed = (axis, i) => (axis.names ? axis.names.indexOf(String(axis.values[i])) : axis.values[i]);

/** Ends, ticks and labels of an axis, for the data that it has. @param {Axis} axis @param {any} palette @param {number} room share beyond the data */
function ends(axis, palette, room) {
  const labels = { color: palette.text, fontSize: 10, hideOverlap: true, textBorderColor: palette.panel, textBorderWidth: 3 };
  if (axis.names) {
    return { type: 'value', min: -room, max: Math.max(1, axis.names.length - 1) + room, interval: 1, axisLabel: { ...labels, customValues: axis.names.map((_, i) => i), formatter: (/** @type {number} */ value) => axis.names?.[value] ?? '' } };
  }
  const [low, high] = extent(axis.values);
  const whole = axis.values.every((value) => value == null || Number.isInteger(value)) && high - low < 12;
  const beyond = room * (high - low || 1);
  const [min, max] = axis.log ? [low * (high / low) ** -room, high * (high / low) ** room] : [low - beyond, high + beyond];
  const ticks = whole ? Array.from({ length: high - low + 1 }, (_, i) => low + i) : ticksOf(axis.name, min, max, axis.log ?? false);
  return {
    type: axis.log ? 'log' : 'value', min, max, splitNumber: 3, ...ticksAt(ticks, palette),
    axisLabel: { ...labels, ...(ticks ? { customValues: ticks } : { showMinLabel: false, showMaxLabel: false }), formatter: (/** @type {number} */ value) => (axis.name in LONG ? tick(axis.name, value) : String(Number(value.toPrecision(3)))) },
  };
}

/** Pixels that half the name of an outer axis takes. @param {Axis} axis @param {number} least */
const beside = (axis, least) => Math.max(least, 6 + 3 * label(axis.name).length);

/**
 * @param {Axis[]} axes
 * @param {number[]} rows drawn, best last
 * @param {{values: any[], range: [number, number]}} color what the lines are coloured by
 */
export const parallelOption = (axes, rows, color) => (palette) => ({
  parallel: { left: beside(axes[0], 46), right: beside(axes[axes.length - 1], 56), top: 34, bottom: 18, axisExpandable: false },
  tooltip: tooltip(palette, { show: false }),
  visualMap: { type: 'continuous', show: false, dimension: axes.length, min: color.range[0], max: color.range[1], inRange: { color: palette.scale } },
  parallelAxis: axes.map((axis, dim) => ({
    ...ends(axis, palette, 0.02), dim, id: axis.name, name: label(axis.name), nameGap: 14, z: 5,
    nameTextStyle: { color: palette.text, fontSize: 11 }, axisLine: { lineStyle: { color: palette.dim } },
    areaSelectStyle: { width: 16, borderWidth: 1, borderColor: palette.accent, color: faded(palette.accent, 0.3), opacity: 1 },
    realtime: false,
  })),
  series: [{
    type: 'parallel', progressive: 0, smooth: false, inactiveOpacity: 0.03, activeOpacity: rows.length > 400 ? 0.5 : 0.85, lineStyle: { width: 1, opacity: rows.length > 400 ? 0.14 : 0.55 }, emphasis: { disabled: true },
    data: rows.map((i) => [...axes.map((axis) => placed(axis, i) ?? '-'), color.values[i]]),
  }],
});

/** Columns whose ticks have units. @type {Record<string, true>} */
const LONG = { accuracy: true, parameters: true, weight_bytes: true, peak_activation_bytes: true, macs: true, latency_ms: true };

/** Shows what is brushed on the axes. @param {any} chart @param {Axis[]} axes @param {import('../core/brush.js').Brush} brush */
export function showBrush(chart, axes, brush) {
  for (const axis of axes) {
    chart.dispatchAction({ type: 'axisAreaSelect', parallelAxisId: axis.name, intervals: brush[axis.name] ? [brush[axis.name]] : [] }, { silent: true });
  }
}

/** ECharts draws a selection that was not dragged in a colour of its own: whenever it has drawn, it gets ours. @param {any} chart @param {any} palette */
export function tintBrush(chart, palette) {
  const fill = faded(palette.accent, 0.3);
  for (const shape of chart.getZr().storage.getDisplayList()) {
    if (shape.parent?.__brushOption && shape.name === 'main' && shape.style.fill !== fill) {
      shape.setStyle({ fill, stroke: palette.accent, lineWidth: 1, opacity: 1 });
    }
  }
}

/** Small scatters of each choice against a metric. @param {Axis[]} axes @param {{name: string, values: any[]}} metric @param {number[]} chosen @param {number[]} others @param {number} across @param {boolean} brushing @param {number[]} numbers candidates */
export const slicesOption = (axes, metric, chosen, others, across, brushing, numbers) => (palette) => {
  const down = Math.ceil(axes.length / across);
  const [width, height] = [100 / across, 100 / down];
  const spot = (/** @type {Axis} */ axis, /** @type {number} */ i) => [placed(axis, i), metric.values[i], i];
  return {
    tooltip: tooltip(palette, { formatter: ({ data, seriesIndex }) => `{b|Candidate ${numbers[data[2]]}}\n${label(axes[Math.floor(seriesIndex / 2)].name)}  ${axes[Math.floor(seriesIndex / 2)].values[data[2]]}\n${label(metric.name)}  ${figure(metric.name, data[1])}` }),
    brush: brushing ? { xAxisIndex: 'all', brushType: 'rect', throttleType: 'debounce', throttleDelay: 200, brushStyle: { color: faded(palette.accent, 0.1), borderColor: palette.accent, borderWidth: 1 }, inBrush: {}, outOfBrush: {}, toolbox: [] } : undefined,
    grid: axes.map((_, k) => ({ left: `${(k % across) * width + 12 / across}%`, width: `${width - 15 / across}%`, top: `${Math.floor(k / across) * height + 9 / down}%`, height: `${height - 33 / down}%` })),
    xAxis: axes.map((axis, k) => ({
      ...ends(axis, palette, 0.04), gridIndex: k, name: label(axis.name), nameLocation: 'middle', nameGap: 20, nameTextStyle: { color: palette.muted, fontSize: 11 },
      axisLine: { lineStyle: { color: palette.line } }, splitLine: { show: false },
    })),
    toolbox: { show: false },
    yAxis: axes.map((_, k) => ({ gridIndex: k, scale: true, max: metric.name.endsWith('accuracy') && extent(metric.values)[1] > 0.95 ? 1 : undefined, splitNumber: 3, axisLine: { show: false }, axisTick: { show: false }, splitLine: { lineStyle: { color: palette.grid } }, axisLabel: { show: k % across === 0, color: palette.muted, fontSize: 10, formatter: (/** @type {number} */ value) => tick(metric.name, value) } })),
    series: axes.flatMap((axis, k) => [
      { name: 'others', data: others.map((i) => spot(axis, i)), itemStyle: { color: palette.dim, opacity: others.length > 300 ? 0.18 : 0.4 }, z: 1 },
      { name: 'selected', data: chosen.map((i) => spot(axis, i)), itemStyle: { color: palette.accent, opacity: chosen.length > 300 ? 0.45 : 0.8 }, z: 2 },
    ].map((series) => ({ ...series, type: 'scatter', xAxisIndex: k, yAxisIndex: k, symbolSize: 4, animation: false }))),
  };
};

/** Bars with a name and a share each. @param {{name: string, value: number, text: string}[]} bars @param {number} [most] */
export const barsOption = (bars, most) => (palette) => ({
  grid: { left: 12 + 7 * Math.max(...bars.map((bar) => bar.name.length)), right: 44, top: 4, bottom: 4 },
  tooltip: tooltip(palette, { show: false }),
  xAxis: { type: 'value', show: false, min: 0, max: most ?? 'dataMax' },
  yAxis: { type: 'category', inverse: true, data: bars.map((bar) => bar.name), axisLine: { show: false }, axisTick: { show: false }, axisLabel: { color: palette.text, fontSize: 12 } },
  series: [{ type: 'bar', data: bars.map((bar) => Math.max(0, bar.value)), barMaxWidth: 14, showBackground: true, backgroundStyle: { color: palette.grid, borderRadius: 3 }, itemStyle: { color: palette.accent, borderRadius: 3 }, label: { show: true, position: 'right', color: palette.text, formatter: ({ dataIndex }) => bars[dataIndex].text } }],
});
