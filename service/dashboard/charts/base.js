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

/** Ticks of a logarithmic axis: 1, 2 and 5 times the powers of ten, fewer where there are many. @param {number[]} values */
export function logTicks(values) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const first = Math.floor(Math.log10(low));
  const powers = Array.from({ length: Math.max(1, Math.ceil(Math.log10(high)) - first + 1) }, (_, k) => 10 ** (first + k));
  const all = powers.flatMap((power) => (powers.length > 5 ? [power] : [power, 2 * power, 5 * power]));
  return all.filter((tick) => tick >= low * 0.8 && tick <= high * 1.25);
}

/** What a rich text may not hold: its own marks. @param {any} text */
export const plain = (text) => String(text).replace(/[{}|]/g, ' ');

/** Lines of a tooltip: a bold head, then name and value. @param {string} head @param {[string, string][]} pairs */
export const lines = (head, pairs) =>
  [`{b|${plain(head)}}`, ...pairs.map(([name, value]) => `{m|${plain(name)}}  ${plain(value)}`)].join('\n');

/** @param {string} color as `rgb(r, g, b)` @param {number} alpha */
export const faded = (color, alpha) => color.replace(/rgba?\(([^)]+)\)/, (_, inner) => `rgba(${inner.split(',').slice(0, 3).join(',')}, ${alpha})`);
