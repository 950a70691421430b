/** A chart as a figure: a sentence that says what it shows, its data as a table, files to keep, keys to walk it. */
import { html, useEffect, useId, useLayoutEffect, useRef, useState } from '../core/html.js';
import { usePalette } from '../core/theme.js';
import { base, loadECharts } from '../charts/base.js';
import { announce } from './announcer.js';
import { Icon } from './icon.js';
import { csvOf, save } from './save.js';

loadECharts(); // while the page's data are on their way

/**
 * @typedef {{series: number, index: number, text: string, href?: string}} Stop a point that the arrow keys reach
 * @typedef {{head: string[], rows: () => any[][]}} ChartTable
 */

/**
 * @param {{
 *   title: string, summary: string, name: string, height?: number,
 *   option: (palette: any) => any, depends: any[], shape?: string,
 *   table: ChartTable, stops?: Stop[], controls?: any,
 *   onSelect?: (event: any) => void, on?: Record<string, (event: any, chart: any, palette: any) => void>,
 *   after?: (chart: any) => void, afterDepends?: any[], overlay?: (chart: any, palette: any) => any[], overlayDepends?: any[],
 * }} props
 *   option: ECharts' option for a palette, made anew when `depends` change; shape: when this changes too, the chart
 *   starts afresh (other axes), else only its data are replaced and what was brushed stays; after: what to tell the
 *   chart once it is drawn, and when `afterDepends` change; overlay: shapes over the chart,
 *   drawn again when `overlayDepends` change
 */
export function Chart({ title, summary, name, height = 320, option, depends, shape = '', table, stops = [], controls, onSelect, on = {}, after, afterDepends = [], overlay, overlayDepends = [] }) {
  const palette = usePalette();
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const chart = useRef(/** @type {any} */ (null));
  const drawn = useRef('');
  const handlers = useRef({ on, onSelect, palette });
  handlers.current = { on, onSelect, palette };
  const [ready, setReady] = useState(false);
  const [tabular, setTabular] = useState(false);
  const walk = useWalk(chart, stops);
  const cover = useOverlay(chart, overlay, palette);
  const id = useId();

  useEffect(() => {
    let wanted = true;
    const resized = new ResizeObserver(() => {
      chart.current?.resize();
      cover.current();
    });
    loadECharts().then((echarts) => {
      if (!wanted || !box.current) return;
      chart.current = echarts.init(box.current, null, { renderer: 'canvas' });
      chart.current.on('click', (event) => handlers.current.onSelect?.(event));
      for (const event of Object.keys(handlers.current.on)) {
        chart.current.on(event, (what) => handlers.current.on[event](what, chart.current, handlers.current.palette));
      }
      resized.observe(box.current);
      setReady(true);
    });
    return () => {
      wanted = false;
      resized.disconnect();
      chart.current?.dispose();
    };
  }, []);

  useLayoutEffect(() => {
    if (!ready) return;
    const now = `${shape}|${palette.text}`;
    const options = now === drawn.current ? { replaceMerge: ['series'] } : { notMerge: true };
    drawn.current = now;
    chart.current.setOption({ ...base(palette), ...option(palette) }, options);
  }, [ready, palette, shape, ...depends]);
  useLayoutEffect(() => void (ready && cover.current()), [ready, palette, shape, ...depends, ...overlayDepends]);
  useLayoutEffect(() => void (ready && after?.(chart.current)), [ready, palette, shape, ...afterDepends]);

  const keep = async (/** @type {'svg' | 'png' | 'csv'} */ kind) => save(kind, name, {
    option: { ...base(palette), ...option(palette) }, palette, width: box.current?.clientWidth ?? 800, height,
    csv: () => csvOf(table.head, table.rows()),
  });
  return html`
    <figure class="chart" data-testid=${`chart-${name}`} data-ready=${ready}>
      <figcaption id=${id}>
        <div class="chart-title"><h2>${title}</h2><p>${summary}</p></div>
        <div class="chart-tools">
          <button class="quiet icon" aria-pressed=${tabular} aria-label=${`${title}: data as a table`} title="Data as a table" onClick=${() => setTabular(!tabular)}>
            <${Icon} name="table" /></button>
          <details class="menu" onFocusOut=${closeLeft}>
            <summary class="quiet" aria-label=${`Save ${title}`} title="Save"><${Icon} name="save" /></summary>
            <div class="menu-body">
              ${['svg', 'png', 'csv'].map((kind) => html`<button class="link" key=${kind} onClick=${() => keep(/** @type {any} */ (kind))}>Save as ${kind.toUpperCase()}</button>`)}</div>
          </details>
        </div>
      </figcaption>
      ${controls && html`<div class="chart-controls">${controls}</div>`}
      <div class="canvas" style=${{ minHeight: `${height}px` }} role="group" aria-roledescription="chart" tabindex="0"
        aria-label=${`${title}. ${summary}${stops.length ? ' Arrow keys walk along the points, Enter opens one.' : ''}`} ...${walk}>
        <div ref=${box} aria-hidden="true"></div>
      </div>
      ${tabular && html`<${DataTable} table=${table} label=${title} />`}
    </figure>`;
}

/**
 * A layer over the chart, for the little that changes often: drawing it anew leaves the chart as it is.
 * @param {{current: any}} chart
 * @param {((chart: any, palette: any) => any[]) | undefined} overlay
 * @param {any} palette
 */
function useOverlay(chart, overlay, palette) {
  const shown = useRef(/** @type {any[]} */ ([]));
  const cover = useRef(async () => {});
  cover.current = async () => {
    if (!overlay) return;
    const { graphic } = await loadECharts();
    const canvas = chart.current?.getZr();
    if (!canvas) return;
    shown.current.forEach((shape) => canvas.remove(shape));
    shown.current = overlay(chart.current, palette).map(({ type, ...what }) => new graphic[type]({ ...what, silent: true, zlevel: 1 }));
    shown.current.forEach((shape) => canvas.add(shape));
  };
  return cover;
}

/** Closes a menu that the focus has left. @param {FocusEvent} event */
function closeLeft(event) {
  const menu = /** @type {HTMLDetailsElement} */ (event.currentTarget);
  if (!menu.contains(/** @type {Node} */ (event.relatedTarget))) menu.open = false;
}

/** Arrow keys step through the points: the chart highlights one, screen readers say it. @param {{current: any}} chart @param {Stop[]} stops */
function useWalk(chart, stops) {
  const at = useRef(-1);
  const show = (/** @type {number} */ next) => {
    const action = (/** @type {string} */ type, /** @type {number} */ i) =>
      stops[i] && chart.current?.dispatchAction({ type, seriesIndex: stops[i].series, dataIndex: stops[i].index });
    action('downplay', at.current);
    at.current = next;
    action('highlight', next);
    action('showTip', next);
    if (stops[next]) announce(`${next + 1} of ${stops.length}: ${stops[next].text}`);
  };
  return {
    onKeyDown: (/** @type {KeyboardEvent} */ event) => {
      const to = { ArrowRight: at.current + 1, ArrowDown: at.current + 1, ArrowLeft: at.current - 1, ArrowUp: at.current - 1, Home: 0, End: stops.length - 1 }[event.key];
      if (to !== undefined && stops.length) {
        event.preventDefault();
        show(Math.max(0, Math.min(stops.length - 1, to)));
      } else if (event.key === 'Enter' && stops[at.current]?.href) {
        import('../core/router.js').then(({ navigate }) => navigate(/** @type {string} */ (stops[at.current].href)));
      }
    },
    onBlur: () => {
      chart.current?.dispatchAction({ type: 'hideTip' });
      chart.current?.dispatchAction({ type: 'downplay' });
      at.current = -1;
    },
  };
}

const ROWS_SHOWN = 500;

/** @param {{table: ChartTable, label: string}} props */
function DataTable({ table, label }) {
  const rows = table.rows();
  return html`
    <div class="chart-table" tabindex="0" role="region" aria-label=${`${label}: data`}>
      <table>
        <thead><tr>${table.head.map((name) => html`<th scope="col" key=${name}>${name}</th>`)}</tr></thead>
        <tbody>${rows.slice(0, ROWS_SHOWN).map((row, i) => html`<tr key=${i}>${row.map((cell, j) => html`<td key=${j}>
          ${cell ?? '–'}</td>`)}</tr>`)}</tbody>
      </table>
      ${rows.length > ROWS_SHOWN && html`<p class="muted small">The first ${ROWS_SHOWN} of ${rows.length} rows; the CSV file has all.</p>`}
    </div>`;
}
