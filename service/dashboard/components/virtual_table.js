/** A table of any length: only the rows in view exist, and they are fetched as they come into view. */
import { classes, html, useEffect, useRef, useState } from '../core/html.js';
import { send } from '../core/api.js';
import { onEvent } from '../core/events.js';
import { Icon } from './icon.js';
import { Failure } from './states.js';

const ROW = 34;
const PAGE = 100;
const AROUND = 8;

/**
 * Pages of a listing, read when asked for; page tokens lead from one to the next, so a far page may need those before.
 * @param {(token: string | null, size: number) => string} url of a page
 * @param {string} key changes when the listing is another one
 * @param {string | null} live id of the study whose events make it old
 */
export function usePages(url, key, live) {
  const [state, setState] = useState({ key: '', total: 0, rows: /** @type {any[]} */ ([]), token: /** @type {string | null} */ (null), error: /** @type {any} */ (null) });
  const wanted = useRef(PAGE);
  const [round, setRound] = useState(0);
  const reload = () => setRound((n) => n + 1);

  useEffect(() => {
    const stop = new AbortController();
    wanted.current = Math.max(PAGE, Math.min(wanted.current, 500));
    send('GET', url(null, wanted.current), { signal: stop.signal }).then(
      (page) => setState({ key, total: page.total, rows: page.items, token: page.next_page_token, error: null }),
      (error) => error.name !== 'AbortError' && setState({ key, total: 0, rows: [], token: null, error }),
    );
    return () => stop.abort();
  }, [key, round]);
  useEffect(() => {
    let timer = 0;
    const leave = live ? onEvent((event) => {
      if ((event && (event.study !== live || event.kind !== 'trial')) || timer) return;
      timer = window.setTimeout(() => { timer = 0; reload(); }, 2000);
    }) : () => {};
    return () => { clearTimeout(timer); leave(); };
  }, [live]);

  const busy = useRef(false);
  const need = async (/** @type {number} */ last) => {
    if (busy.current || state.key !== key || state.rows.length > last || !state.token) return;
    busy.current = true;
    try {
      const page = await send('GET', url(state.token, 500));
      setState((old) => (old.key === key && old.token === state.token ? { ...old, rows: [...old.rows, ...page.items], token: page.next_page_token } : old));
    } catch (error) {
      setState((old) => ({ ...old, error }));
    } finally {
      busy.current = false;
    }
  };
  return { ...state, ready: state.key === key, need, reload };
}

/**
 * @typedef {{name: string, title: any, cell: (row: any) => any, number?: boolean, sort?: boolean, head?: boolean}} Column
 * @param {{label: string, columns: Column[], pages: ReturnType<typeof usePages>, order: string, setOrder: (order: string) => void,
 *   keyOf: (row: any) => any, height?: number}} props
 */
export function VirtualTable({ label, columns, pages, order, setOrder, keyOf }) {
  const box = useRef(/** @type {HTMLDivElement | null} */ (null));
  const [top, setTop] = useState(0);
  const [view, setView] = useState(700);
  useEffect(() => {
    const follow = new ResizeObserver(() => box.current && setView(box.current.clientHeight));
    if (box.current) follow.observe(box.current);
    return () => follow.disconnect();
  }, [pages.ready]);
  const first = Math.max(0, Math.floor(top / ROW) - AROUND);
  const last = Math.min(pages.total, Math.ceil((top + view) / ROW) + AROUND);
  useEffect(() => void pages.need(last - 1), [last, pages.rows.length, pages.token]);
  if (pages.error) return html`<${Failure} error=${pages.error} retry=${pages.reload} />`;
  const space = (/** @type {number} */ rows) => rows > 0 && html`<tr class="spacer" aria-hidden="true"><td colspan=${columns.length} style=${{ height: `${rows * ROW}px` }}></td></tr>`;
  const numbers = Array.from({ length: Math.max(0, last - first) }, (_, k) => first + k);
  return html`
    <div class="virtual" ref=${box} tabindex="0" role="region" aria-label=${label} data-testid="virtual" onScroll=${() => box.current && setTop(box.current.scrollTop)}>
      <table aria-rowcount=${pages.total + 1} aria-busy=${!pages.ready}>
        <thead><tr aria-rowindex="1">${columns.map((column) => html`<${Head} key=${column.name} column=${column} order=${order} setOrder=${setOrder} />`)}</tr></thead>
        <tbody>
          ${space(first)}
          ${numbers.map((i) => {
            const row = pages.rows[i];
            return html`<tr key=${row ? keyOf(row) : `row-${i}`} aria-rowindex=${i + 2}>${columns.map((column) => {
              const name = classes(column.number && 'number');
              const content = row ? column.cell(row) : '';
              return column.head ? html`<th scope="row" class=${name} key=${column.name}>${content}</th>` : html`<td class=${name} key=${column.name}>${content}</td>`;
            })}</tr>`;
          })}
          ${space(pages.total - last)}
        </tbody>
      </table>
    </div>`;
}

/** @param {{column: Column, order: string, setOrder: (order: string) => void}} props */
function Head({ column, order, setOrder }) {
  const { name, title, number, sort = true } = column;
  if (!sort) return html`<th scope="col" class=${classes(number && 'number')}>${title}</th>`;
  const mine = order.replace('-', '') === name;
  const down = order.startsWith('-');
  return html`<th scope="col" class=${classes(number && 'number')} aria-sort=${mine ? (down ? 'descending' : 'ascending') : null}>
    <button onClick=${() => setOrder(mine && down ? name : `-${name}`)}>${title}${mine && html` <${Icon} name=${down ? 'down' : 'up'} size="12" />`}</button></th>`;
}
