/** What all charts share: the library, fetched when the first chart is shown, and a quiet look. */

/** @type {Promise<any> | undefined} */
let library;

/** ECharts, once. */
export const loadECharts = () => (library ??= import('../vendor/echarts.js'));

const FONT = 'ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "DejaVu Sans", sans-serif';

/** Options that every chart starts from. @param {any} palette */
export const base = (palette) => ({
  animation: false,
  color: palette.series,
  textStyle: { fontFamily: FONT, fontSize: 12, color: palette.muted },
  tooltip: tooltip(palette),
});

/** Text only, drawn on the canvas: no HTML, no style attributes. @param {any} palette @param {any} [more] */
export const tooltip = (palette, more = {}) => ({
  renderMode: 'richText',
  confine: true,
  trigger: 'item',
  backgroundColor: palette.panel,
  borderColor: palette.line,
  padding: [8, 10],
  textStyle: { color: palette.text, fontSize: 12, fontFamily: FONT, lineHeight: 17, rich: { b: { fontWeight: 600, color: palette.text }, m: { color: palette.muted } } },
  axisPointer: { lineStyle: { color: palette.line }, crossStyle: { color: palette.line } },
  ...more,
});

/**
 * An axis in the house's manner.
 * @param {any} palette
 * @param {any} more
 */
export const axis = (palette, more) => ({
  nameLocation: 'middle',
  nameTextStyle: { color: palette.muted, fontSize: 12, fontFamily: FONT },
  axisLine: { show: true, lineStyle: { color: palette.line } },
  axisTick: { show: false },
  axisLabel: { color: palette.muted, fontSize: 11, hideOverlap: true, ...more.axisLabel },
  splitLine: { show: true, lineStyle: { color: palette.grid } },
  minorSplitLine: { show: false },
  ...Object.fromEntries(Object.entries(more).filter(([name]) => name !== 'axisLabel')),
});

/** @param {any} palette @param {any} [more] */
export const legend = (palette, more = {}) => ({
  type: 'scroll', top: 0, left: 0, itemWidth: 10, itemHeight: 10, itemGap: 14, icon: 'circle',
  pageIconColor: palette.muted, pageIconInactiveColor: palette.line, pageTextStyle: { color: palette.muted },
  textStyle: { color: palette.muted, fontSize: 12 }, inactiveColor: palette.line, ...more,
});

/**
 * Where an axis has its ticks, if the library's own would not read well: 1, 2 and 5 times powers of ten on a
 * logarithmic axis, powers of two for bytes.
 * @param {string} metric
 * @param {number} low
 * @param {number} high
 * @param {boolean} log
 * @returns {number[] | undefined}
 */
export function ticksOf(metric, low, high, log) {
  const inside = (/** @type {number} */ tick) => tick >= low && tick <= high;
  if (!(high > low)) return undefined;
  if (metric.endsWith('bytes')) {
    const step = 2 ** Math.ceil(Math.log2((high - low) / 5));
    const first = Math.ceil(log ? Math.log2(low) : low / step);
    const last = Math.floor(log ? Math.log2(high) : high / step);
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, k) => (log ? 2 ** (first + k) : step * (first + k)));
  }
  if (!log) return undefined;
  const powers = Array.from({ length: Math.ceil(Math.log10(high / low)) + 2 }, (_, k) => 10 ** (Math.floor(Math.log10(low)) + k));
  return powers.flatMap((power) => (powers.length > 6 ? [power] : [power, 2 * power, 5 * power])).filter(inside);
}

/** An axis's labels and marks at chosen places. @param {number[] | undefined} values @param {any} palette */
export const ticksAt = (values, palette) => (values ? { axisTick: { show: true, length: 4, lineStyle: { color: palette.line }, customValues: values } } : {});

/** What a rich text may not hold: its own marks. @param {any} text */
export const plain = (text) => String(text).replace(/[{}|]/g, ' ');

/** Lines of a tooltip: a bold head, then name and value. @param {string} head @param {[string, string][]} pairs */
export const lines = (head, pairs) =>
  [`{b|${plain(head)}}`, ...pairs.map(([name, value]) => `{m|${plain(name)}}  ${plain(value)}`)].join('\n');

/** @param {string} color as `rgb(r, g, b)` @param {number} alpha */
export const faded = (color, alpha) => color.replace(/rgba?\(([^)]+)\)/, (_, inner) => `rgba(${inner.split(',').slice(0, 3).join(',')}, ${alpha})`);
