/** How often a student is right when it is so sure: accuracy against confidence, bin by bin. */
import { count, percent } from '../core/format.js';
import { axis, faded, legend, lines, tooltip } from './base.js';

/** @typedef {{name: string, bins: import('../core/contract').CalibrationBin[]}} Split */

const SYMBOLS = ['circle', 'diamond'];
const [SMALLEST, LARGEST] = [5, 22];

/** @param {Split[]} splits */
export const calibrationOption = (splits) => (palette) => {
  const most = Math.max(...splits.flatMap(({ bins }) => bins.map((bin) => bin.count)));
  const size = (/** @type {number[]} */ [, , n]) => SMALLEST + (LARGEST - SMALLEST) * Math.sqrt(n / most);
  const share = { min: 0, max: 1, interval: 0.25, axisLabel: { formatter: (/** @type {number} */ value) => `${100 * value} %` } };
  return {
    grid: { left: 54, right: 18, top: 32, bottom: 40 },
    legend: legend(palette, { icon: undefined, data: [...splits.map(({ name }) => name), { name: 'As sure as right', icon: 'path://M0 0h4v1h-4zM6 0h4v1h-4z' }] }),
    tooltip: tooltip(palette, {
      formatter: ({ seriesName, data }) => lines(seriesName, [['Confidence', percent(data[0], 1)], ['Accuracy', percent(data[1], 1)], ['Images', count(data[2])]]),
    }),
    xAxis: axis(palette, { type: 'value', name: 'Confidence', nameGap: 26, ...share }),
    yAxis: axis(palette, { type: 'value', name: 'Accuracy', nameGap: 42, axisLine: { show: false }, ...share }),
    series: [
      ...splits.map(({ name, bins }, k) => ({
        name, type: 'scatter', symbol: SYMBOLS[k], symbolSize: size, z: 3, data: bins.map((bin) => [bin.confidence, bin.accuracy, bin.count]),
        itemStyle: { color: faded(palette.series[k], 0.75), borderColor: palette.panel, borderWidth: 1 }, emphasis: { scale: 1.3 },
      })),
      { name: 'As sure as right', type: 'line', data: [[0, 0], [1, 1]], symbol: 'none', silent: true, z: 1, tooltip: { show: false }, lineStyle: { color: palette.muted, width: 1.2, type: [5, 4] }, itemStyle: { color: palette.muted } },
      // From each mark to where it should stand.
      ...splits.map(({ name, bins }, k) => ({
        name: `${name}: gaps`, type: 'line', symbol: 'none', silent: true, z: 2, tooltip: { show: false }, lineStyle: { color: faded(palette.series[k], 0.5), width: 1.2 },
        data: bins.flatMap(({ confidence, accuracy }) => [[confidence, accuracy], [confidence, confidence], [confidence, '-']]),
      })),
    ],
  };
};
