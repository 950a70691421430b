/** Files made in the browser: a chart as SVG, PNG or CSV. */
import { loadECharts } from '../charts/base.js';

/** @param {Blob} content @param {string} file */
export function download(content, file) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(content);
  link.download = file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/**
 * Rows as CSV; a text that a spreadsheet would compute gets an apostrophe.
 * @param {string[]} head
 * @param {any[][]} rows
 */
export function csvOf(head, rows) {
  const cell = (value) => {
    const text = typeof value === 'string' ? value.replace(/^[=+\-@\t\r]/, "'$&") : String(value ?? '');
    return /[",\n]/.test(text) ? `"${text.replace(/"/g, '""')}"` : text;
  };
  return [head, ...rows].map((row) => row.map(cell).join(',')).join('\r\n') + '\r\n';
}

/**
 * Saves a chart.
 * @param {'svg' | 'png' | 'csv'} kind
 * @param {string} name of the file, without its ending
 * @param {{option: any, palette: any, width: number, height: number, csv: () => string}} what
 */
export async function save(kind, name, { option, palette, width, height, csv }) {
  if (kind === 'csv') return download(new Blob([csv()], { type: 'text/csv' }), `${name}.csv`);
  const echarts = await loadECharts();
  const drawn = { ...option, backgroundColor: palette.panel, animation: false };
  if (kind === 'svg') {
    const chart = echarts.init(null, null, { renderer: 'svg', ssr: true, width, height });
    chart.setOption(drawn);
    const svg = chart.renderToSVGString();
    chart.dispose();
    return download(new Blob([svg], { type: 'image/svg+xml' }), `${name}.svg`);
  }
  const canvas = document.createElement('canvas');
  const chart = echarts.init(canvas, null, { renderer: 'canvas', width, height, devicePixelRatio: 2 });
  chart.setOption(drawn);
  chart.getZr().flush();
  const url = chart.getDataURL({ pixelRatio: 2, backgroundColor: palette.panel });
  chart.dispose();
  const bytes = Uint8Array.from(atob(url.split(',')[1]), (letter) => letter.charCodeAt(0));
  return download(new Blob([bytes], { type: 'image/png' }), `${name}.png`);
}
